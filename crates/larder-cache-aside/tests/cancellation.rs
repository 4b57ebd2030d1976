//! Dropping a call at any await leaves nothing behind, on a real Redis.

mod common;

use std::time::{Duration, Instant};

use common::{Database, address, builder, cache};
use larder_cache_aside::{CacheAside, Source};
use larder_redis::RedisStore;
use larder_store::Store;
use larder_testing::{RedisServer, drop_at_await};

async fn rig() -> (RedisServer, RedisStore, Database) {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = Database::with((0..1_000).map(|id| (id, "row")));
    (server, store, database)
}

/// Nobody is loading or writing this key: the next read either hits, or may store what it loads.
async fn assert_free(store: &RedisStore, rows: &CacheAside<u64, String>, id: u64) {
    rows.shutdown().await.expect("background");
    assert_eq!(rows.tasks(), 0);
    let record = store.get(&address(id)).await.expect("get");
    let tag = record.as_ref().map(|record| record[4]);
    assert!(matches!(tag, None | Some(b'V')), "{tag:?} at {id}");
    rows.get(&id).await.expect("get");
    let read = rows.fetch(&id).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.source),
        (Some("row"), Source::Store)
    );
}

#[tokio::test]
async fn get() {
    let (_server, store, database) = rig().await;
    database.delay(Duration::from_millis(2));
    let rows = cache(store.clone(), &database);
    let mut dropped = 0;
    for waits in 0.. {
        if !drop_at_await(waits, rows.get(&(waits as u64))).await {
            break;
        }
        dropped += 1;
        assert_free(&store, &rows, waits as u64).await;
    }
    // The look-up, the lease, the load and the fill.
    assert!(dropped >= 4, "only {dropped} awaits");
}

#[tokio::test]
async fn get_many() {
    let (_server, store, database) = rig().await;
    let rows = cache(store.clone(), &database);
    for waits in 0.. {
        let ids: Vec<u64> = (0..5).map(|id| 10 * waits as u64 + id).collect();
        if !drop_at_await(waits, rows.get_many(&ids)).await {
            assert!(waits >= 3, "only {waits} awaits");
            break;
        }
        for id in ids {
            assert_free(&store, &rows, id).await;
        }
    }
}

#[tokio::test]
async fn invalidate() {
    let (_server, store, database) = rig().await;
    let rows = cache(store.clone(), &database);
    for waits in 0.. {
        let id = waits as u64;
        rows.get(&id).await.expect("get");
        if !drop_at_await(waits, rows.invalidate(&id)).await {
            assert!(waits >= 1, "only {waits} awaits");
            break;
        }
        // It was sent, so it is seen through.
        rows.shutdown().await.expect("background");
        assert!(store.get(&address(id)).await.expect("get").is_none());
        assert_free(&store, &rows, id).await;
    }
}

#[tokio::test]
async fn write() {
    const HOLD: Duration = Duration::from_secs(1);
    let (_server, store, database) = rig().await;
    let rows = builder(store.clone())
        .hold(HOLD)
        .build(database)
        .expect("a cache");
    let mut held = 0;
    for waits in 0.. {
        let id = waits as u64;
        let writer = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, std::io::Error>(())
        };
        let started = Instant::now();
        if !drop_at_await(waits, rows.write(&id, writer)).await {
            assert!(waits >= 3, "only {waits} awaits");
            break;
        }
        rows.shutdown().await.expect("background");
        let record = store.get(&address(id)).await.expect("get");
        if let Some(record) = record {
            // The writer may have committed: its hold stays, and runs out by itself.
            assert_eq!(record[4], b'H');
            assert!(started.elapsed() < HOLD, "too slow to tell");
            held += 1;
            tokio::time::sleep(HOLD).await;
        }
        assert_free(&store, &rows, id).await;
    }
    assert_eq!(
        held, 1,
        "the hold outlives only a writer that was dropped while it ran"
    );
}

#[tokio::test]
async fn a_panicking_loader_reaches_the_caller_and_frees_the_key() {
    let (_server, store, database) = rig().await;
    let rows: CacheAside<u64, String> = CacheAside::builder(store.clone(), common::NAME)
        .build(|id: u64| async move {
            assert!(id != 1, "as told");
            Ok::<_, std::io::Error>(None)
        })
        .expect("a cache");
    let task = tokio::spawn({
        let rows = rows.clone();
        async move { rows.get(&1).await }
    });
    assert!(task.await.expect_err("a panic").is_panic());
    rows.shutdown().await.expect("background");
    let healthy = cache(store.clone(), &database);
    assert_free(&store, &healthy, 1).await;
    assert_eq!(rows.stats().load_errors, 1);
}
