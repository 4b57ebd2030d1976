//! What the cases stand on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use larder_cache::Cache;
use larder_cache_aside::CacheAside;
use larder_coalesce::Coalesce;
use larder_redis::RedisStore;
use larder_refresh_ahead::RefreshAhead;
use larder_store::{Bytes, Key, Namespace, Store};
use larder_testing::RedisServer;

use crate::value::Sample;

/// Hot keys: few enough to stay in the processor's caches, as a hot set does.
pub const KEYS: u64 = 1_000;

/// The bytes of a value record before its payload, without a claim: the record format's business, used here
/// so that the bare client decodes the very same bytes.
pub const HEADER: usize = 47;

/// So long that nothing expires, or is due, while it is measured.
const TTL: Duration = Duration::from_secs(3600);

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
        .ttl(TTL)
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

/// The same, coalescing.
///
/// # Errors
/// If the store fails.
pub async fn warm_coalesce<V: Sample>(
    store: impl Into<Arc<dyn Store>>,
    name: &str,
) -> Result<Coalesce<u64, V>> {
    let cache = Coalesce::builder(store, name)
        .ttl(TTL)
        .build(|id: u64| async move { Ok::<_, std::io::Error>(Some(V::sample(id))) })?;
    warm(&cache).await?;
    Ok(cache)
}

/// The same, refreshing ahead; no entry is due for most of an hour.
///
/// # Errors
/// If the store fails.
pub async fn warm_refresh_ahead<V: Sample>(
    store: impl Into<Arc<dyn Store>>,
    name: &str,
) -> Result<RefreshAhead<u64, V>> {
    let cache = RefreshAhead::builder(store, name)
        .ttl(TTL)
        .build(|id: u64| async move { Ok::<_, std::io::Error>(Some(V::sample(id))) })?;
    warm(&cache).await?;
    Ok(cache)
}

/// Reads all keys in batches, and then sees to it that they are hits.
async fn warm<V>(cache: &impl Cache<u64, V>) -> Result<()> {
    let keys: Vec<u64> = (0..KEYS).collect();
    for batch in keys.chunks(100) {
        cache.get_many(batch).await?;
    }
    let before = cache.stats().hits;
    let there = cache.get_many(&keys).await?;
    let hits = cache.stats().hits - before;
    anyhow::ensure!(
        hits == KEYS && there.iter().all(Option::is_some),
        "the cache could not be warmed: {hits} hits of {KEYS}"
    );
    Ok(())
}

/// The value of a measured read: an error or a missing row would be faster, and worth nothing.
pub(crate) fn answer<V>(read: larder_cache::Result<Option<V>>) -> V {
    match read {
        Ok(Some(value)) => value,
        Ok(None) => panic!("a key that has a value was read without one"),
        Err(error) => panic!("a read failed: {error:?}"),
    }
}

/// A name that no earlier run against the same server used.
pub(crate) fn unused(name: &str) -> String {
    format!("{name}-{:x}", rand::random::<u64>())
}

/// A key that was never read before, so that every read of it misses.
pub(crate) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Relaxed)
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
