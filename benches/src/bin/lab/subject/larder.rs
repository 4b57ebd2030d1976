//! Larder's patterns, used as their pages in the docs say: they have the same calls.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use larder_cache_aside::{CacheAside, Source};
use larder_coalesce::Coalesce;
use larder_refresh_ahead::RefreshAhead;
use larder_store::Store;
use larder_write_through::{WriteError, WriteThrough, Writer};

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
        let reads = Aside::new(store, Arc::clone(&origin), ttl, name)?;
        let writes = WriteThrough::beside(reads.cache.keyspace(), Pages(origin));
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

/// The origin's pages: all there are were there from the start, and a change is the origin's own.
struct Pages(Arc<Origin>);

#[async_trait]
impl Writer<u32, Page> for Pages {
    type Error = WriteError;

    async fn create(&self, _page: &Page) -> Result<u32, WriteError> {
        Err(WriteError::rolled_back("the pages are there already"))
    }

    async fn update(&self, key: &u32, _page: Page) -> Result<Option<Page>, WriteError> {
        Ok(Some(self.0.update(*key).await?))
    }

    async fn delete(&self, _key: &u32) -> Result<(), WriteError> {
        Err(WriteError::rolled_back("the pages stay"))
    }
}
