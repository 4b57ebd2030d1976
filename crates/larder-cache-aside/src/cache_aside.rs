//! The pattern.

use std::{fmt, sync::Arc, time::Duration};

use larder_cache::{
    CacheKey, Codec, Error, Fetched, Keyspace, Leased, Lookup, Origin, Result, Vacancy,
};
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::CacheAsideBuilder;

/// A cache beside a database: reads look in the store first and load what isn't there; writes go to the database and
/// drop the entry. Cloning gives another handle on the same cache.
///
/// See the [crate's page](crate) for when to use it, what it guarantees and what it costs.
pub struct CacheAside<K, V> {
    pub(crate) inner: Arc<Inner<K, V>>,
}

pub(crate) struct Inner<K, V> {
    pub(crate) keyspace: Keyspace<K, V>,
    pub(crate) origin: Origin<K, V>,
    pub(crate) soft_timeout: Option<Duration>,
}

impl<K, V: Serialize + DeserializeOwned> CacheAside<K, V> {
    /// Settings of a cache in this store, under this name. Values are MessagePack.
    #[must_use]
    pub fn builder(store: impl Into<Arc<dyn Store>>, name: &str) -> CacheAsideBuilder<K, V> {
        CacheAsideBuilder::new(store, name)
    }
}

impl<K, V> CacheAside<K, V> {
    /// Settings of a cache whose values are encoded by this codec.
    #[must_use]
    pub fn builder_with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> CacheAsideBuilder<K, V> {
        CacheAsideBuilder::with_codec(store, name, codec)
    }

    pub(crate) fn new(
        keyspace: Keyspace<K, V>,
        origin: Origin<K, V>,
        soft_timeout: Option<Duration>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                keyspace,
                origin,
                soft_timeout,
            }),
        }
    }

    /// Waits for what is under way in the background, 5 s at the most. Call it before the program ends; the
    /// cache can still be used.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`](crate::ErrorKind::Deferred) if invalidations could not be sent by then.
    pub async fn shutdown(&self) -> Result<()> {
        self.inner.keyspace.shutdown().await
    }
}

impl<K, V> CacheAside<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The value, or `None` if the origin has none.
    ///
    /// # Errors
    /// [`ErrorKind::Loader`](crate::ErrorKind::Loader) and
    /// [`ErrorKind::LoaderTimeout`](crate::ErrorKind::LoaderTimeout), if there is no stale entry to serve.
    /// A failing store is no error.
    ///
    /// # Cancellation
    /// May be dropped at any await: a load is dropped and its lease given back.
    pub async fn get(&self, key: &K) -> Result<Option<V>> {
        // As `fetch`, without the detour over what it tells besides.
        let not_ready = match self.inner.keyspace.fresh_ready(key) {
            Ok(value) => return Ok(value),
            Err(not_ready) => not_ready,
        };
        match self.inner.keyspace.lookup_waiting(not_ready).await {
            Lookup::Hit(entry) if !entry.is_stale() => Ok(entry.value),
            found => Ok(Box::pin(self.resolve(key, found)).await?.value),
        }
    }

    /// The value, who gave it, how old it is, and why the store was of no use if it wasn't.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn fetch(&self, key: &K) -> Result<Fetched<V>> {
        match self.inner.keyspace.lookup(key).await {
            Lookup::Hit(entry) if !entry.is_stale() => Ok(entry.into()),
            found => Box::pin(self.resolve(key, found)).await,
        }
    }

    /// Answers from what was found. Boxed by its callers, so that the future of a hit stays small.
    async fn resolve(&self, key: &K, found: Lookup<V>) -> Result<Fetched<V>> {
        match found {
            Lookup::Hit(entry) if !entry.is_stale() => Ok(entry.into()),
            Lookup::Hit(entry) => self.reload(key, entry).await,
            Lookup::Miss(vacancy) => self.load_under_lease(key, vacancy).await,
            Lookup::Busy(_) => self.load_uncached(key, None).await,
            Lookup::Failed(error) => self.load_uncached(key, Some(error)).await,
        }
    }

    async fn load_under_lease(&self, key: &K, vacancy: Vacancy) -> Result<Fetched<V>> {
        let seen = vacancy.error().cloned();
        let lease = match self.inner.keyspace.lease(vacancy).await {
            Ok(Leased::Granted(lease)) => lease,
            Ok(Leased::Refused(Lookup::Hit(entry))) if !entry.is_stale() => {
                return Ok(entry.into());
            }
            Ok(Leased::Refused(Lookup::Hit(entry))) => return self.reload(key, entry).await,
            Ok(Leased::Refused(Lookup::Failed(error))) | Err(error) => {
                return self.load_uncached(key, Some(error)).await;
            }
            Ok(Leased::Refused(_)) => return self.load_uncached(key, seen).await,
        };
        let loaded = self.inner.origin.load(&self.inner.keyspace, key).await?;
        let filled = lease.fill(&loaded).await;
        Ok(Fetched::filled(loaded, filled, seen))
    }

    pub(crate) async fn load_uncached(&self, key: &K, why: Option<Error>) -> Result<Fetched<V>> {
        let loaded = self.inner.origin.load(&self.inner.keyspace, key).await?;
        Ok(Fetched::loaded(loaded, why))
    }
}

larder_cache::read_pattern!(CacheAside, |cache| cache.inner.keyspace, V: Send + Sync + 'static);

impl<K, V> Clone for CacheAside<K, V> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K, V> fmt::Debug for CacheAside<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheAside")
            .field("keyspace", &self.inner.keyspace)
            .field("soft_timeout", &self.inner.soft_timeout)
            .finish_non_exhaustive()
    }
}
