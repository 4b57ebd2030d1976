//! No cache at all: what the others are compared to.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use super::{Changed, Seen, Subject, missing};
use crate::origin::Origin;

/// Asks the database every time.
pub(super) struct NoCache(Arc<Origin>);

impl NoCache {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        Self(origin)
    }
}

#[async_trait]
impl Subject for NoCache {
    async fn read(&self, key: u32) -> Result<Seen> {
        let page = self.0.load(key).await?.ok_or_else(|| missing(key))?;
        Ok(Seen {
            version: page.version,
            hit: false,
            store_error: None,
        })
    }

    async fn write(&self, key: u32) -> Result<Changed> {
        let version = self.0.update(key).await?.version;
        Ok(Changed {
            version,
            deferred: false,
        })
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
