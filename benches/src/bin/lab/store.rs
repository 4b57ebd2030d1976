//! Where the caches keep their entries.

use std::{fmt, str::FromStr, sync::Arc};

use anyhow::{Context, Result};
use larder_memory::MemoryStore;
use larder_redis::RedisStore;
use larder_store::Store;
use larder_testing::RedisServer;

/// What `--store` says.
#[derive(Clone)]
pub(crate) enum StoreChoice {
    Memory,
    OwnRedis,
    Redis(String),
}

impl FromStr for StoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "memory" => Ok(Self::Memory),
            "redis" => Ok(Self::OwnRedis),
            url if url.contains("://") => Ok(Self::Redis(url.to_owned())),
            _ => Err("it is memory, redis, or a URL like redis://127.0.0.1:6379/".to_owned()),
        }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::OwnRedis => "Redis, started for this run",
            Self::Redis(_) => "Redis, as given",
        })
    }
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a subject connects to.
#[derive(Debug)]
pub(crate) enum Place {
    /// A memory store of so many entries, a new one for each subject.
    Memory(u64),
    /// A server by its URL.
    Redis(String),
    /// A server that is ours and ends with this.
    OwnRedis(Box<RedisServer>),
}

impl Place {
    /// Starts a server if one is asked for, and connects once, so that what is wrong shows before anything is
    /// measured.
    pub(crate) async fn prepare(choice: &StoreChoice, capacity: u64) -> Result<Self> {
        let place = match choice {
            StoreChoice::Memory => Self::Memory(capacity),
            StoreChoice::Redis(url) => Self::Redis(url.clone()),
            StoreChoice::OwnRedis => {
                let server = RedisServer::start().await;
                Self::OwnRedis(Box::new(server.context("no Redis could be started")?))
            }
        };
        place.store().await?;
        Ok(place)
    }

    /// A store, as users would make it.
    pub(crate) async fn store(&self) -> Result<Arc<dyn Store>> {
        let store = match self {
            Self::Memory(capacity) => return Ok(MemoryStore::new(*capacity).into()),
            Self::Redis(url) => RedisStore::connect(url).await,
            Self::OwnRedis(server) => RedisStore::connect(&server.url()).await,
        };
        Ok(store.context("the Redis store can't be used")?.into())
    }

    /// Where Redis is, if it is Redis.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(url) => Some(url.clone()),
            Self::OwnRedis(server) => Some(server.url()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let choice: StoreChoice = "redis://:secret@localhost/".parse().expect("a URL");
        assert!(!format!("{choice} {choice:?}").contains("secret"));
    }

    #[test]
    fn unknown_stores_are_refused() {
        assert!("memcached".parse::<StoreChoice>().is_err());
    }
}
