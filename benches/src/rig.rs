//! What the cases stand on.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use larder_cache_aside::CacheAside;
use larder_redis::RedisStore;
use larder_store::{Bytes, Key, Namespace, Store};
use larder_testing::RedisServer;

use crate::value::Sample;

/// Hot keys: few enough to stay in the processor's caches, as a hot set does.
pub const KEYS: u64 = 1_000;

/// The bytes of a value record before its payload, without a claim: the record format's business, used here
/// so that the bare client decodes the very same bytes.
pub const HEADER: usize = 47;

/// A Redis to measure on, and what to do without one.
pub enum Redis {
    /// `REDIS_URL`, or a server of our own.
    At(String, Option<Box<RedisServer>>),
    /// Why there is none.
    Missing(String),
}

impl Redis {
    /// Takes `REDIS_URL`, or starts a `redis-server` on a free port.
    pub async fn find() -> Self {
        if let Ok(url) = std::env::var("REDIS_URL") {
            return Self::At(url, None);
        }
        match RedisServer::start().await {
            Ok(server) => Self::At(server.url(), Some(Box::new(server))),
            Err(error) => Self::Missing(error.to_string()),
        }
    }
}

/// A cache in this store whose loader makes values up, with all keys in it.
///
/// # Errors
/// If the store fails.
pub async fn warm_cache<V: Sample>(
    store: impl Into<Arc<dyn Store>>,
    name: &str,
) -> Result<CacheAside<u64, V>> {
    let cache = CacheAside::builder(store, name)
        .ttl(Duration::from_secs(3600))
        .build(|id: u64| async move { Ok::<_, std::io::Error>(Some(V::sample(id))) })?;
    let warmed = cache.warm(0..KEYS).run().await;
    let there = cache.get_many(&(0..KEYS).collect::<Vec<_>>()).await?;
    let hits = cache.stats().hits;
    anyhow::ensure!(
        warmed.failed == 0 && hits >= KEYS && there.iter().all(Option::is_some),
        "the cache could not be warmed: {warmed:?}, then {hits} hits"
    );
    Ok(cache)
}

/// Where a cache of this name keeps a key.
///
/// # Errors
/// Never with the names used here.
pub fn address(name: &str, id: u64) -> Result<Key> {
    Ok(Namespace::new(name, 1)?.key(&id)?)
}

/// The encoded value that a cache of this name keeps.
///
/// # Errors
/// If it isn't there.
pub async fn payload(store: &dyn Store, name: &str, id: u64) -> Result<Bytes> {
    let record = store.get(&address(name, id)?).await?;
    Ok(record.context("the cache is warm")?.slice(HEADER..))
}

/// Connects a store with a deadline that a benchmark can't run into.
///
/// # Errors
/// If the server can't be reached.
pub async fn redis_store(url: &str) -> Result<RedisStore> {
    Ok(RedisStore::builder(url)?
        .deadline(Duration::from_secs(5))
        .connect()
        .await?)
}
