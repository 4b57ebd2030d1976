//! The patterns under test. Another one is another file here and a line in [`Pattern`].

mod larder;
mod none;
mod textbook;

use std::{fmt, sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use clap::ValueEnum;

use crate::{origin::Origin, store::Place};

/// What a read returned.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The version of the row.
    pub(crate) version: i64,
    /// Whether the store answered, and not the database.
    pub(crate) hit: bool,
    /// Why the store was of no use, if the pattern made up for it.
    pub(crate) store_error: Option<anyhow::Error>,
}

/// What a write did.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The version of the row now.
    pub(crate) version: i64,
    /// Whether the cache could not be told yet, as the pattern said.
    pub(crate) deferred: bool,
}

/// A pattern between the requests and the database.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// Shows the page of this key.
    async fn read(&self, key: u32) -> Result<Seen>;

    /// Changes the page of this key; from `Ok` on, unless it is deferred, reads should see the change.
    async fn write(&self, key: u32) -> Result<Changed>;

    /// Ends what is under way in the background.
    async fn close(&self) -> Result<()>;
}

/// The patterns there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    /// Every read asks the database.
    None,
    /// Cache-aside as blog posts write it: GET, load, SET; DEL after a write. It has a race.
    Textbook,
    /// larder-cache-aside.
    CacheAside,
    /// larder-coalesce: requests for one key at once are one query.
    Coalesce,
    /// larder-refresh-ahead: entries are loaded again before they expire.
    RefreshAhead,
    /// larder-write-through, with cache-aside for its reads: writes go into the cache as well.
    WriteThrough,
}

impl Pattern {
    /// A fresh subject in front of this database. `run` keeps entries apart from those of other runs and
    /// patterns on the same server.
    pub(crate) async fn subject(
        self,
        place: &Place,
        origin: Arc<Origin>,
        ttl: Duration,
        run: &str,
    ) -> Result<Arc<dyn Subject>> {
        Ok(match self {
            Self::None => Arc::new(none::NoCache::new(origin)),
            Self::Textbook => textbook::open(place, origin, ttl, run).await?,
            Self::CacheAside => {
                Arc::new(larder::Aside::new(place.store().await?, origin, ttl, run)?)
            }
            Self::Coalesce => Arc::new(larder::Coalescing::new(
                place.store().await?,
                origin,
                ttl,
                run,
            )?),
            Self::WriteThrough => Arc::new(larder::Through::new(
                place.store().await?,
                origin,
                ttl,
                run,
            )?),
            Self::RefreshAhead => Arc::new(larder::Refreshing::new(
                place.store().await?,
                origin,
                ttl,
                run,
            )?),
        })
    }
}

/// The name it has on the command line.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.pad(name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// A row that isn't there: the lab has put one there for each key.
fn missing(key: u32) -> anyhow::Error {
    anyhow::anyhow!("the database has no row {key}")
}
