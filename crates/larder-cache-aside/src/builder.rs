//! Settings of a cache-aside cache.

use std::{sync::Arc, time::Duration};

use larder_cache::{CacheKey, Codec, Error, ErrorKind, KeyspaceBuilder, Loader, Origin, Result};
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::CacheAside;

/// Settings of a [`CacheAside`]; from [`CacheAside::builder`].
#[derive(Debug)]
pub struct CacheAsideBuilder<K, V> {
    keyspace: KeyspaceBuilder<K, V>,
    load_timeout: Duration,
    soft_timeout: Option<Duration>,
}

larder_cache::keyspace_settings!(CacheAsideBuilder);

impl<K, V: Serialize + DeserializeOwned> CacheAsideBuilder<K, V> {
    pub(crate) fn new(store: impl Into<Arc<dyn Store>>, name: &str) -> Self {
        Self::over(KeyspaceBuilder::new(store, name))
    }
}

impl<K, V> CacheAsideBuilder<K, V> {
    pub(crate) fn with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> Self {
        Self::over(KeyspaceBuilder::with_codec(store, name, codec))
    }

    fn over(keyspace: KeyspaceBuilder<K, V>) -> Self {
        Self {
            keyspace,
            load_timeout: Duration::from_secs(10),
            soft_timeout: None,
        }
    }

    /// How long a load may take before it fails as [`ErrorKind::LoaderTimeout`]. Keep it under the lifetime of
    /// the lease. The default: 10 s.
    #[must_use]
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// How long to wait for the loader where a stale entry could be served instead: after this the stale entry
    /// is returned, and the load goes on in the background. It needs a [`grace`](Self::grace). The default:
    /// as long as the load takes.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// The cache, with this loader for what isn't there.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a bad name, lifetimes of zero, a jitter outside of 0.0 to 1.0, or a load timeout
    /// that is zero.
    pub fn build(self, loader: impl Loader<K, V>) -> Result<CacheAside<K, V>>
    where
        K: CacheKey + Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        if self.load_timeout.is_zero() {
            return Err(Error::new(
                ErrorKind::Config,
                "the load timeout is zero: no load could ever succeed",
            ));
        }
        let origin = Origin::new(loader, self.load_timeout);
        Ok(CacheAside::new(
            self.keyspace.build()?,
            origin,
            self.soft_timeout,
        ))
    }
}
