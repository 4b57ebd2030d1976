//! What the processes read and write through.

use std::{sync::Arc, time::Duration};

use larder_cache::{Cache, ErrorKind, Keyspace, KeyspaceBuilder};
use larder_cache_aside::CacheAside;
use larder_coalesce::Coalesce;
use larder_redis::RedisStore;
use larder_refresh_ahead::RefreshAhead;
use larder_store::{BoxError, Store};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::time::sleep;

use super::{HOLD, TTL, faults::Faults, oracle::Oracle};

/// What is put to the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// All read patterns of larder over the same records, with brackets that store and brackets that don't.
    Larder,
    /// Cache-aside by the textbook: GET, load, SETEX; commit, DEL.
    TextbookCacheAside,
    /// Write-through by the textbook: GET, load, SETEX; commit, SETEX.
    TextbookWriteThrough,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::Larder,
        Self::TextbookCacheAside,
        Self::TextbookWriteThrough,
    ];

    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::TextbookCacheAside => "textbook-cache-aside",
            Self::TextbookWriteThrough => "textbook-write-through",
        }
    }

    /// By its word.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.name() == name)
    }

    pub(crate) async fn open(
        self,
        cache: &str,
        oracle: &Oracle,
        faults: Faults,
    ) -> Result<Opened, BoxError> {
        if self == Self::Larder {
            return Ok(Opened::Larder(Larder::open(cache, oracle, faults)?));
        }
        let client = redis::Client::open(cache)?;
        Ok(Opened::Textbook {
            connection: client.get_multiplexed_async_connection().await?,
            oracle: oracle.clone(),
            writes_through: self == Self::TextbookWriteThrough,
        })
    }
}

/// A subject at work.
#[derive(Clone)]
pub(crate) enum Opened {
    Larder(Larder),
    Textbook {
        connection: MultiplexedConnection,
        oracle: Oracle,
        writes_through: bool,
    },
}

/// The patterns, over the same records.
#[derive(Clone)]
pub(crate) struct Larder {
    reads: Arc<[Arc<dyn Cache<u64, u64>>]>,
    keyspace: Keyspace<u64, u64>,
    /// Whether some writes go without a bracket. Where processes are killed and their commits count, none may: nothing
    /// protects a commit whose process dies before its invalidation.
    plain_writes: bool,
}

impl Opened {
    pub(crate) async fn read(&self, row: u64, by: usize) -> Result<u64, BoxError> {
        match self {
            Self::Larder(larder) => {
                let cache = &larder.reads[by % larder.reads.len()];
                Ok(cache.get(&row).await?.unwrap_or_default())
            }
            Self::Textbook {
                connection, oracle, ..
            } => {
                let mut connection = connection.clone();
                let key = format!("row:{row}");
                if let Some(version) = connection.get(&key).await? {
                    return Ok(version);
                }
                let version = load(oracle, row).await?;
                let _: () = connection.set_ex(&key, version, TTL.as_secs()).await?;
                Ok(version)
            }
        }
    }

    pub(crate) async fn read_many(&self, rows: &[u64], by: usize) -> Result<Vec<u64>, BoxError> {
        if let Self::Larder(larder) = self {
            let cache = &larder.reads[by % larder.reads.len()];
            let read = cache.get_many(rows).await?;
            return Ok(read.into_iter().map(Option::unwrap_or_default).collect());
        }
        let mut read = Vec::new();
        for row in rows {
            read.push(self.read(*row, by).await?);
        }
        Ok(read)
    }

    /// Writes a row in one of several ways. Returns its version if the write is complete.
    pub(crate) async fn write(
        &self,
        row: u64,
        way: u32,
        oracle: &Oracle,
    ) -> Result<Option<u64>, BoxError> {
        match self {
            Self::Larder(larder) => larder.write(row, way, oracle).await,
            Self::Textbook {
                connection,
                writes_through,
                ..
            } => {
                let mut connection = connection.clone();
                let version = oracle.commit(row).await?;
                let key = format!("row:{row}");
                let _: () = match writes_through {
                    true => connection.set_ex(&key, version, TTL.as_secs()).await?,
                    false => connection.del(&key).await?,
                };
                Ok(Some(version))
            }
        }
    }
}

/// Reads the database, now fast, now slowly.
async fn load(oracle: &Oracle, row: u64) -> redis::RedisResult<u64> {
    let version = oracle.version(row).await?;
    if rand::random_bool(0.3) {
        sleep(Duration::from_micros(rand::random_range(100..4_000))).await;
    }
    Ok(version)
}

impl Larder {
    fn open(cache: &str, oracle: &Oracle, faults: Faults) -> Result<Self, BoxError> {
        const NAME: &str = "row";
        let load_timeout = Duration::from_millis(500);
        // Where holds must have been acknowledged, no stall may pass for an outage.
        let deadline = match faults {
            Faults::Kills => Duration::from_secs(2),
            _ => Duration::from_millis(60),
        };
        let store = RedisStore::builder(cache)?
            .deadline(deadline)
            .connect_in_background()?;
        let store: Arc<dyn Store> = Arc::new(store);
        let load = |oracle: &Oracle| {
            let oracle = oracle.clone();
            move |row: u64| {
                let oracle = oracle.clone();
                async move { load(&oracle, row).await.map(Some) }
            }
        };
        let aside = CacheAside::<u64, u64>::builder(Arc::clone(&store), NAME)
            .ttl(TTL)
            .grace(TTL / 4)
            .row_version(row_version)
            .load_timeout(load_timeout)
            .build(load(oracle))?;
        let coalesce = Coalesce::<u64, u64>::builder(Arc::clone(&store), NAME)
            .ttl(TTL)
            .grace(TTL / 4)
            .row_version(row_version)
            .load_timeout(load_timeout)
            .build(load(oracle))?;
        let refresh = RefreshAhead::<u64, u64>::builder(Arc::clone(&store), NAME)
            .ttl(TTL)
            // Most hits refresh, so that refreshes meet writes.
            .refresh_at(0.01)
            .stale_while_revalidate(TTL / 4)
            .row_version(row_version)
            .load_timeout(load_timeout)
            .build(load(oracle))?;
        let keyspace = KeyspaceBuilder::new(store, NAME)
            .ttl(TTL)
            .row_version(row_version)
            .hold(HOLD)
            .build()?;
        Ok(Self {
            reads: Arc::new([Arc::new(aside), Arc::new(coalesce), Arc::new(refresh)]),
            keyspace,
            plain_writes: faults != Faults::Kills,
        })
    }

    async fn write(&self, row: u64, way: u32, oracle: &Oracle) -> Result<Option<u64>, BoxError> {
        if way < 2 && self.plain_writes {
            return self.write_plainly(row, way, oracle).await;
        }
        let commit = async {
            pause().await;
            let version = oracle.commit(row).await?;
            pause().await;
            Ok::<_, redis::RedisError>(Some(version))
        };
        let (version, cache) = if way <= 2 {
            let written = self.keyspace.write(&row, commit).await?;
            (written.value, written.cache)
        } else {
            let written = self.keyspace.write_value(&row, commit).await?;
            (written.value, written.cache)
        };
        Ok(version.filter(|_| cache.is_consistent()))
    }

    /// Without a bracket.
    async fn write_plainly(
        &self,
        row: u64,
        way: u32,
        oracle: &Oracle,
    ) -> Result<Option<u64>, BoxError> {
        let version = oracle.commit(row).await?;
        pause().await;
        if way == 1 {
            let state = self
                .keyspace
                .put_if_newer(&row, version, Some(&version))
                .await;
            return Ok(Some(version).filter(|_| state.is_consistent()));
        }
        match self.keyspace.invalidate(&row).await {
            Ok(()) => Ok(Some(version)),
            Err(error) if error.kind() == ErrorKind::Deferred => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The rows here are their own versions.
const fn row_version(version: &u64) -> u64 {
    *version
}

async fn pause() {
    if rand::random_bool(0.3) {
        sleep(Duration::from_micros(rand::random_range(100..3_000))).await;
    }
}
