//! Larder's patterns, used as their pages in the docs say: they have the same calls.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use larder_cache_aside::{CacheAside, CacheState, Source};
use larder_coalesce::Coalesce;
use larder_refresh_ahead::RefreshAhead;
use larder_store::Store;

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
                    version: written.value,
                    deferred: !matches!(written.cache, CacheState::Invalidated),
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
