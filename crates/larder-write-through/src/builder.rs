//! Settings of a write-through cache.

use std::sync::Arc;

use larder_cache::{CacheKey, Codec, KeyspaceBuilder, Result};
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::{WriteThrough, Writer, writer::Erased};

/// Settings of a [`WriteThrough`]; from [`WriteThrough::builder`].
///
/// Those that say how entries are written must be those of the cache that reads them: name, version, codec; and the
/// TTLs, for what is written to live as long as what is loaded. [`WriteThrough::beside`] takes them from a cache in the same
/// process. Settings of loads (`load_timeout`, `lease`) have no effect here.
#[derive(Debug)]
pub struct WriteThroughBuilder<K, V> {
    keyspace: KeyspaceBuilder<K, V>,
}

larder_cache::keyspace_settings!(WriteThroughBuilder, keyspace);

impl<K, V: Serialize + DeserializeOwned> WriteThroughBuilder<K, V> {
    pub(crate) fn new(store: impl Into<Arc<dyn Store>>, name: &str) -> Self {
        Self {
            keyspace: KeyspaceBuilder::new(store, name),
        }
    }
}

impl<K, V> WriteThroughBuilder<K, V> {
    pub(crate) fn with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> Self {
        Self {
            keyspace: KeyspaceBuilder::with_codec(store, name, codec),
        }
    }

    /// The cache, with this writer for the database.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](larder_cache::ErrorKind::Config) for a bad name, a TTL, load timeout or hold of zero,
    /// a lease shorter than the load timeout, or a jitter outside of 0.0 to 1.0.
    pub fn build(self, writer: impl Writer<K, V>) -> Result<WriteThrough<K, V>>
    where
        K: CacheKey + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        Ok(WriteThrough::new(
            self.keyspace.build()?,
            Arc::new(Erased(writer)),
        ))
    }
}
