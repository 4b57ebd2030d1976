//! Larder's patterns, used as their pages in the docs say: they have the same calls.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use larder_cache_aside::{CacheAside, Source};
use larder_coalesce::Coalesce;
use larder_refresh_ahead::RefreshAhead;
use larder_store::Store;
use larder_write_through::{NoWriter, WriteThrough};

use super::{Changed, Seen, Subject, missing};
use crate::origin::{Origin, Page};

/// A subject by this name that reads and writes through this pattern.
macro_rules! subject {
    ($name:ident, $pattern:ident) => {
        pub(super) struct $name {
            cache: $pattern<u32, Page>,
            origin: Arc<Origin>,
        }

        impl $name {
            pub(super) fn new(
                store: Arc<dyn Store>,
                origin: Arc<Origin>,
                ttl: Duration,
                name: &str,
            ) -> Result<Self> {
                let db = Arc::clone(&origin);
                let load = move |key| {
                    let db = Arc::clone(&db);
                    async move { db.load(key).await }
                };
                let cache = $pattern::builder(store, name).ttl(ttl).build(load)?;
                Ok(Self { cache, origin })
            }
        }

        #[async_trait]
        impl Subject for $name {
            async fn read(&self, key: u32) -> Result<Seen> {
                let fetched = self.cache.fetch(&key).await?;
                Ok(Seen {
                    version: fetched.value.ok_or_else(|| missing(key))?.version,
                    hit: fetched.source == Source::Store,
                    store_error: fetched.store_error.map(Into::into),
                })
            }

            async fn write(&self, key: u32) -> Result<Changed> {
                let written = self.cache.write(&key, self.origin.update(key)).await?;
                Ok(Changed {
                    version: written.value.version,
                    deferred: !written.cache.is_consistent(),
                })
            }

            async fn close(&self) -> Result<()> {
                Ok(self.cache.shutdown().await?)
            }
        }
    };
}

subject!(Aside, CacheAside);
subject!(Coalescing, Coalesce);
subject!(Refreshing, RefreshAhead);

/// Reads as cache-aside does; writes go through.
pub(super) struct Through {
    reads: Aside,
    writes: WriteThrough<u32, Page>,
}

impl Through {
    pub(super) fn new(
        store: Arc<dyn Store>,
        origin: Arc<Origin>,
        ttl: Duration,
        name: &str,
    ) -> Result<Self> {
        let reads = Aside::new(store, origin, ttl, name)?;
        let writes = WriteThrough::beside(reads.cache.keyspace(), NoWriter);
        Ok(Self { reads, writes })
    }
}

#[async_trait]
impl Subject for Through {
    async fn read(&self, key: u32) -> Result<Seen> {
        self.reads.read(key).await
    }

    async fn write(&self, key: u32) -> Result<Changed> {
        let origin = &self.reads.origin;
        let change = async { origin.update(key).await.map(Some) };
        let written = self.writes.write(&key, change).await?;
        Ok(Changed {
            version: written.value.ok_or_else(|| missing(key))?.version,
            deferred: !written.cache.is_consistent(),
        })
    }

    async fn close(&self) -> Result<()> {
        self.reads.close().await
    }
}
