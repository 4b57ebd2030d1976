//! Cache-aside as blog posts write it. A reader that loaded before a write can store what it loaded after the
//! entry was deleted, and the old page is served until its TTL ends.

use std::{sync::Arc, time::Duration};

use anyhow::{Error, Result, anyhow};
use async_trait::async_trait;
use larder_benches::textbook::{Textbook, TextbookOverStore};

use super::{Changed, Seen, Subject, missing};
use crate::{
    origin::{Origin, Page},
    store::Place,
};

/// The textbook over this place: on Redis with the redis crate alone, in memory with the store's bare
/// operations.
pub(super) async fn open(
    place: &Place,
    origin: Arc<Origin>,
    ttl: Duration,
    run: &str,
) -> Result<Arc<dyn Subject>> {
    if let Some(url) = place.url() {
        let cache = Textbook::connect(&url, run, ttl).await;
        let cache = cache.map_err(|error| anyhow!(error))?;
        return Ok(Arc::new(OnRedis { cache, origin }));
    }
    let cache = TextbookOverStore::new(place.store().await?, run, ttl);
    let cache = cache.map_err(Error::from_boxed)?;
    Ok(Arc::new(OnStore { cache, origin }))
}

struct OnRedis {
    cache: Textbook,
    origin: Arc<Origin>,
}

#[async_trait]
impl Subject for OnRedis {
    async fn read(&self, key: u32) -> Result<Seen> {
        let found = self.cache.get(key.into(), self.origin.load(key)).await;
        let (page, hit): (Option<Page>, bool) = found.map_err(Error::from_boxed)?;
        seen(key, page, hit)
    }

    async fn write(&self, key: u32) -> Result<Changed> {
        let version = self.origin.update(key).await?.version;
        let told = self.cache.invalidate(key.into()).await;
        told.map_err(Error::from_boxed)?;
        Ok(changed(version))
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

struct OnStore {
    cache: TextbookOverStore,
    origin: Arc<Origin>,
}

#[async_trait]
impl Subject for OnStore {
    async fn read(&self, key: u32) -> Result<Seen> {
        let found = self.cache.get(key.into(), self.origin.load(key)).await;
        let (page, hit): (Option<Page>, bool) = found.map_err(Error::from_boxed)?;
        seen(key, page, hit)
    }

    async fn write(&self, key: u32) -> Result<Changed> {
        let version = self.origin.update(key).await?.version;
        let told = self.cache.invalidate(key.into()).await;
        told.map_err(Error::from_boxed)?;
        Ok(changed(version))
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn seen(key: u32, page: Option<Page>, hit: bool) -> Result<Seen> {
    Ok(Seen {
        version: page.ok_or_else(|| missing(key))?.version,
        hit,
        store_error: None,
    })
}

const fn changed(version: i64) -> Changed {
    Changed {
        version,
        deferred: false,
    }
}
