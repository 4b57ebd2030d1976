//! Hits: what a read costs when the value is there.

use std::sync::Arc;

use anyhow::Result;
use bb8_redis::RedisConnectionManager;
use larder_cache_aside::CacheAside;
use larder_coalesce::Coalesce;
use larder_memory::MemoryStore;
use larder_refresh_ahead::RefreshAhead;
use larder_store::{Bytes, Key};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use serde::de::DeserializeOwned;

use crate::{
    case::{Case, Group, Run, by_tasks, in_a_loop, one_by_one},
    rig::{
        HEADER, KEYS, address, answer, payload, redis_store, unused, warm_cache, warm_coalesce,
        warm_refresh_ahead,
    },
    textbook::{Textbook, TextbookOverStore},
    value::Sample,
};

const TTL: std::time::Duration = std::time::Duration::from_secs(3600);

/// Hits in this process: quick_cache and moka hold the encoded bytes, and decode them as larder does.
///
/// # Errors
/// If the caches can't be filled.
pub async fn memory<V: Sample>() -> Result<Vec<Case>> {
    const NAME: &str = "memory-hit";
    let store = MemoryStore::new(10 * KEYS);
    // Leaked, so that no case pays for sharing them: an application holds them in a static or a state.
    let cache: &'static CacheAside<u64, V> =
        Box::leak(Box::new(warm_cache(store.clone(), NAME).await?));
    let coalesce: &'static Coalesce<u64, V> =
        Box::leak(Box::new(warm_coalesce(store.clone(), "coalesce").await?));
    let refresh_ahead: &'static RefreshAhead<u64, V> =
        Box::leak(Box::new(warm_refresh_ahead(store.clone(), "ahead").await?));
    let map: &'static quick_cache::sync::Cache<u64, Bytes> =
        Box::leak(Box::new(quick_cache::sync::Cache::new(10 * KEYS as usize)));
    let moka: &'static moka::future::Cache<u64, Bytes> =
        Box::leak(Box::new(moka::future::Cache::new(10 * KEYS)));
    for id in 0..KEYS {
        let bytes = payload(&store, NAME, id).await?;
        map.insert(id, bytes.clone());
        moka.insert(id, bytes).await;
    }
    let bytes = payload(&store, NAME, 0).await?.len();
    let raw = move |number: u64| {
        let found = map.get(&(number % KEYS));
        std::future::ready(found.map(|bytes| decode::<V>(&bytes)))
    };
    let moka = move |number: u64| async move {
        let found = moka.get(&(number % KEYS)).await;
        found.map(|bytes| decode::<V>(&bytes))
    };
    let textbook = TextbookOverStore::new(store.clone(), "textbook", TTL);
    let textbook: &'static TextbookOverStore =
        Box::leak(Box::new(textbook.map_err(anyhow::Error::from_boxed)?));
    for id in 0..KEYS {
        let load = async { Ok::<_, std::io::Error>(Some(V::sample(id))) };
        let loaded = textbook.get(id, load).await;
        loaded.map_err(anyhow::Error::from_boxed)?;
    }
    let textbook = move |number: u64| async move {
        let never = async { Err::<Option<V>, _>(std::io::Error::other("a miss")) };
        let found = textbook.get(number % KEYS, never).await;
        found.unwrap_or_else(|error| panic!("a textbook hit failed: {error}"))
    };
    let larder = move |number: u64| async move { answer(cache.get(&(number % KEYS)).await) };
    let coalesce = move |number: u64| async move { answer(coalesce.get(&(number % KEYS)).await) };
    let refresh_ahead =
        move |number: u64| async move { answer(refresh_ahead.get(&(number % KEYS)).await) };
    let group = Group {
        name: format!("memory-hit/{}", V::SIZE),
        store: "memory",
        tasks: 1,
        bytes,
        baseline: "quick_cache + decoding",
    };
    Ok(vec![
        group.case("quick_cache + decoding", "raw", in_a_loop(raw)),
        group.case("quick_cache + decoding (A/A)", "raw", in_a_loop(raw)),
        group.case("moka::future + decoding", "raw", in_a_loop(moka)),
        group.case("textbook cache-aside", "textbook", in_a_loop(textbook)),
        group.case("larder cache-aside", "cache-aside", in_a_loop(larder)),
        group.case("larder coalesce", "coalesce", in_a_loop(coalesce)),
        group.case(
            "larder refresh-ahead",
            "refresh-ahead",
            in_a_loop(refresh_ahead),
        ),
    ])
}

/// Hits over Redis by so many tasks: the bare client gets the same records and decodes the same payload.
///
/// # Errors
/// If Redis fails.
pub async fn redis<V: Sample>(url: &str, tasks: u64) -> Result<Vec<Case>> {
    const NAME: &str = "redis-hit";
    let name = format!(
        "{NAME}-{}",
        std::any::type_name::<V>().rsplit(':').next().unwrap_or("v")
    );
    let store = redis_store(url).await?;
    let cache = Arc::new(warm_cache::<V>(store.clone(), &name).await?);
    let coalesce = Arc::new(warm_coalesce::<V>(store.clone(), &unused("coalesce")).await?);
    // What an earlier run left on the server could be due by now.
    let refresh_ahead = Arc::new(warm_refresh_ahead::<V>(store.clone(), &unused("ahead")).await?);
    let keys: Arc<[Key]> = (0..KEYS)
        .map(|id| address(&name, id))
        .collect::<Result<Vec<_>>>()?
        .into();
    let bytes = payload(&store, &name, 0).await?.len();
    let client = redis::Client::open(url)?;
    let bare = Bare {
        connection: client.get_multiplexed_async_connection().await?,
        keys: Arc::clone(&keys),
    };
    let again = Bare {
        connection: client.get_multiplexed_async_connection().await?,
        keys: Arc::clone(&keys),
    };
    let textbook = Textbook::connect(url, &format!("textbook-{name}"), TTL).await;
    let textbook = textbook.map_err(anyhow::Error::from_boxed)?;
    for id in 0..KEYS {
        let load = async { Ok::<_, std::io::Error>(Some(V::sample(id))) };
        let loaded = textbook.get(id, load).await;
        loaded.map_err(anyhow::Error::from_boxed)?;
    }
    let pool = bb8::Pool::builder()
        .build(RedisConnectionManager::new(url)?)
        .await?;

    let group = Group {
        name: format!("redis-hit/{tasks} tasks/{}", V::SIZE),
        store: "redis",
        tasks,
        bytes,
        baseline: "redis-rs GET + decoding",
    };
    let undecoded = bare.clone();
    Ok(vec![
        group.case(
            "redis-rs GET + decoding",
            "raw",
            run(tasks, move |number| {
                let bare = bare.clone();
                async move { decode::<V>(&bare.get(number).await[HEADER..]) }
            }),
        ),
        group.case(
            "redis-rs GET + decoding (A/A)",
            "raw",
            run(tasks, move |number| {
                let bare = again.clone();
                async move { decode::<V>(&bare.get(number).await[HEADER..]) }
            }),
        ),
        group.case(
            "redis-rs GET",
            "raw",
            run(tasks, move |number| {
                let bare = undecoded.clone();
                async move { bare.get(number).await }
            }),
        ),
        group.case(
            "bb8-redis GET + decoding",
            "raw",
            run(tasks, move |number| {
                let (pool, keys) = (pool.clone(), Arc::clone(&keys));
                async move {
                    let connection = pool.get().await;
                    let mut connection =
                        connection.unwrap_or_else(|error| panic!("no connection: {error}"));
                    let key = keys[(number % KEYS) as usize].as_bytes();
                    let bytes: redis::RedisResult<Vec<u8>> = connection.get(key).await;
                    let bytes = bytes.unwrap_or_else(|error| panic!("GET failed: {error}"));
                    decode::<V>(&bytes[HEADER..])
                }
            }),
        ),
        group.case(
            "textbook cache-aside",
            "textbook",
            run(tasks, move |number| {
                let textbook = textbook.clone();
                async move {
                    let never = async { Err::<Option<V>, _>(std::io::Error::other("a miss")) };
                    let found = textbook.get(number % KEYS, never).await;
                    found.unwrap_or_else(|error| panic!("a textbook hit failed: {error}"))
                }
            }),
        ),
        group.case(
            "larder cache-aside",
            "cache-aside",
            run(tasks, move |number| {
                let cache = Arc::clone(&cache);
                async move { answer(cache.get(&(number % KEYS)).await) }
            }),
        ),
        group.case(
            "larder coalesce",
            "coalesce",
            run(tasks, move |number| {
                let cache = Arc::clone(&coalesce);
                async move { answer(cache.get(&(number % KEYS)).await) }
            }),
        ),
        group.case(
            "larder refresh-ahead",
            "refresh-ahead",
            run(tasks, move |number| {
                let cache = Arc::clone(&refresh_ahead);
                async move { answer(cache.get(&(number % KEYS)).await) }
            }),
        ),
    ])
}

/// The bare client.
#[derive(Clone)]
struct Bare {
    connection: MultiplexedConnection,
    keys: Arc<[Key]>,
}

impl Bare {
    async fn get(&self, number: u64) -> Vec<u8> {
        let mut connection = self.connection.clone();
        let key = self.keys[(number % KEYS) as usize].as_bytes();
        let bytes = connection.get(key).await;
        bytes.unwrap_or_else(|error| panic!("GET failed: {error}"))
    }
}

fn run<F, Fut>(tasks: u64, operation: F) -> Run
where
    F: Fn(u64) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future + Send,
    Fut::Output: Send,
{
    if tasks == 1 {
        one_by_one(operation)
    } else {
        by_tasks(tasks, operation)
    }
}

fn decode<V: DeserializeOwned>(bytes: &[u8]) -> V {
    rmp_serde::from_slice(bytes).unwrap_or_else(|error| panic!("a hit can't be decoded: {error}"))
}
