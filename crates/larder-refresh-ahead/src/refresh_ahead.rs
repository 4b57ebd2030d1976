//! The pattern.

use std::{fmt, sync::Arc, time::Duration};

use larder_cache::{CacheKey, Codec, Entry, Error, ErrorKind, Fetched, Freshness, Lookup, Result};
use larder_coalesce::Coalesce;
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    RefreshAheadBuilder,
    due::Due,
    refreshes::{Limits, Refreshes},
};

/// A cache that loads hot entries again before they expire: callers of a due entry get it at once, and one process loads
/// it in the background. Cloning gives another handle on the same cache.
///
/// See the [crate's page](crate) for when to use it, what it guarantees and what it costs.
pub struct RefreshAhead<K, V> {
    pub(crate) inner: Arc<Inner<K, V>>,
}

pub(crate) struct Inner<K, V> {
    pub(crate) misses: Coalesce<K, V>,
    pub(crate) refreshes: Arc<Refreshes<V>>,
    due: Due,
    stale_while_revalidate: Duration,
}

impl<K, V: Serialize + DeserializeOwned> RefreshAhead<K, V> {
    /// Settings of a cache in this store, under this name. Values are MessagePack.
    #[must_use]
    pub fn builder(store: impl Into<Arc<dyn Store>>, name: &str) -> RefreshAheadBuilder<K, V> {
        RefreshAheadBuilder::new(store, name)
    }
}

impl<K, V> RefreshAhead<K, V> {
    /// Settings of a cache whose values are encoded by this codec.
    #[must_use]
    pub fn builder_with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> RefreshAheadBuilder<K, V> {
        RefreshAheadBuilder::with_codec(store, name, codec)
    }

    pub(crate) fn new(
        misses: Coalesce<K, V>,
        due: Due,
        stale_while_revalidate: Duration,
        limits: Limits,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                misses,
                refreshes: Arc::new(Refreshes::new(limits)),
                due,
                stale_while_revalidate,
            }),
        }
    }

    /// How many keys are being loaded or waited for by callers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.inner.misses.in_flight()
    }

    /// How many entries are being loaded again in the background.
    #[must_use]
    pub fn refreshing(&self) -> usize {
        self.inner.refreshes.running()
    }

    /// Waits for what is under way in the background, 5 s at the most. Call it before the program ends; the
    /// cache can still be used.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`](crate::ErrorKind::Deferred) if invalidations could not be sent by then.
    pub async fn shutdown(&self) -> Result<()> {
        self.inner.refreshes.forget_resting();
        self.inner.misses.shutdown().await
    }

    /// How fresh an entry is for this pattern, and whether it may be served as it is.
    fn judge(&self, entry: &Entry<V>) -> (Freshness, bool) {
        if !entry.is_stale() {
            return match self.inner.due.is_due(entry) {
                true => (Freshness::Due, true),
                false => (Freshness::Fresh, true),
            };
        }
        let past = entry.past_ttl();
        (Freshness::Stale, past < self.inner.stale_while_revalidate)
    }
}

impl<K, V> RefreshAhead<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The value, or `None` if the origin has none. Waits for a load only if there is no entry to serve.
    ///
    /// # Errors
    /// Those of [`Coalesce::get`]; a refresh that fails is none.
    ///
    /// # Cancellation
    /// May be dropped at any await. A refresh goes on in the background, as does a load that others wait for.
    pub async fn get(&self, key: &K) -> Result<Option<V>> {
        let misses = &self.inner.misses;
        let started = misses.started();
        let found = match misses.keyspace().lookup_ready(key) {
            Ok(found) => found,
            Err(not_ready) => misses.keyspace().lookup_waiting(not_ready).await,
        };
        match self.serve(key, found) {
            Ok((entry, _)) => Ok(entry.value),
            Err(found) => Ok(Box::pin(misses.resolve(key, started, found)).await?.value),
        }
    }

    /// The value, who gave it, how old it is, and why the store was of no use if it wasn't; of an entry whose refresh failed,
    /// for as long as it rests, why.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn fetch(&self, key: &K) -> Result<Fetched<V>> {
        let misses = &self.inner.misses;
        let started = misses.started();
        let found = misses.keyspace().lookup(key).await;
        match self.serve(key, found) {
            Ok((entry, freshness)) => {
                // A new try that has begun keeps the error of the last one.
                let last_error = match freshness {
                    Freshness::Fresh => None,
                    _ => self.last_error(key, &entry),
                };
                let mut fetched = Fetched::from(entry);
                fetched.freshness = freshness;
                match last_error {
                    Some(error) if is_of_the_loader(&error) => fetched.load_error = Some(error),
                    error => fetched.store_error = error,
                }
                Ok(fetched)
            }
            Err(found) => Box::pin(misses.resolve(key, started, found)).await,
        }
    }

    /// The values of these keys, in their order: as [`Coalesce::get_many`], with a refresh for each entry that is due.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the batch as a whole.
    ///
    /// # Cancellation
    /// As [`get`](Self::get).
    pub async fn get_many(&self, keys: &[K]) -> Result<Vec<Option<V>>> {
        let misses = &self.inner.misses;
        let started = misses.started();
        let found = misses.keyspace().lookup_many(keys).await;
        let mut values = Vec::with_capacity(keys.len());
        let (mut places, mut wanted, mut unserved) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (key, found)) in keys.iter().zip(found).enumerate() {
            values.push(match self.serve(key, found) {
                Ok((entry, _)) => entry.value,
                Err(found) => {
                    places.push(at);
                    wanted.push(key.clone());
                    unserved.push(found);
                    None
                }
            });
        }
        if places.is_empty() {
            return Ok(values);
        }
        let loaded = misses.resolve_many(&wanted, started, unserved).await?;
        for (at, value) in places.into_iter().zip(loaded) {
            values[at] = value;
        }
        Ok(values)
    }

    /// The entry, if it can be served as it is; one that is due or stale is then loaded again in the background.
    fn serve(&self, key: &K, found: Lookup<V>) -> Result<(Entry<V>, Freshness), Lookup<V>> {
        let Lookup::Hit(entry) = found else {
            return Err(found);
        };
        let (freshness, servable) = self.judge(&entry);
        if !servable {
            // A claim that is kept over a rest would keep the load that comes now from being stored.
            if let Ok(address) = self.inner.misses.keyspace().address(key) {
                self.inner.refreshes.forget(&address);
            }
            return Err(Lookup::Hit(entry));
        }
        if freshness != Freshness::Fresh {
            self.refresh(key, &entry);
        }
        if freshness == Freshness::Stale {
            self.inner.misses.keyspace().count_stale_served();
        }
        Ok((entry, freshness))
    }
}

fn is_of_the_loader(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Loader | ErrorKind::LoaderTimeout)
}

larder_cache::read_pattern!(RefreshAhead, |cache| cache.inner.misses.keyspace(), V: Clone + Send + Sync + 'static);

impl<K, V> Clone for RefreshAhead<K, V> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K, V> fmt::Debug for RefreshAhead<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshAhead")
            .field("misses", &self.inner.misses)
            .field("refreshes", &self.inner.refreshes)
            .finish_non_exhaustive()
    }
}
