//! Settings of a cache-aside cache.

use std::{sync::Arc, time::Duration};

use larder_cache::{CacheKey, Codec, KeyspaceBuilder, Loader, Origin, Result};
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::CacheAside;

/// Settings of a [`CacheAside`]; from [`CacheAside::builder`].
#[derive(Debug)]
pub struct CacheAsideBuilder<K, V> {
    keyspace: KeyspaceBuilder<K, V>,
    soft_timeout: Option<Duration>,
}

larder_cache::keyspace_settings!(CacheAsideBuilder, keyspace);

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
            soft_timeout: None,
        }
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
    /// [`ErrorKind::Config`](larder_cache::ErrorKind::Config) for a bad name, a TTL, load timeout or hold of zero,
    /// a lease shorter than the load timeout, or a jitter outside of 0.0 to 1.0.
    pub fn build(self, loader: impl Loader<K, V>) -> Result<CacheAside<K, V>>
    where
        K: CacheKey + Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        let origin = Origin::new(loader);
        Ok(CacheAside::new(
            self.keyspace.build()?,
            origin,
            self.soft_timeout,
        ))
    }
}
