//! The race of cache-aside, forced, on a real Redis: a reader that loaded before a write stores after it.

mod common;

use common::{Database, cache};
use larder_cache_aside::{CacheState, Source};
use larder_redis::RedisStore;
use larder_testing::RedisServer;

#[tokio::test]
async fn a_reader_that_loaded_before_an_invalidation_stores_nothing() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = Database::with([(1, "v1")]);
    let rows = cache(store, &database);

    let loaded = database.hold_next_load();
    let reader = tokio::spawn({
        let rows = rows.clone();
        async move { rows.get(&1).await }
    });
    loaded.reached().await;
    database.put(1, "v2");
    rows.invalidate(&1).await.expect("invalidate");
    loaded.open();

    // It read before the write, so the old value is its answer; but nobody else gets it.
    let read = reader.await.expect("the reader").expect("get");
    assert_eq!(read.as_deref(), Some("v1"));
    assert_eq!(rows.stats().superseded, 1);
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v2"));
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v2"));
    assert_eq!(rows.stats().hits, 1);
}

#[tokio::test]
async fn a_reader_in_another_process_cannot_store_during_a_write_either() {
    let server = RedisServer::start().await.expect("a server");
    let database = Database::with([(1, "v1")]);
    let here = cache(
        RedisStore::connect(&server.url()).await.expect("a store"),
        &database,
    );
    let there = cache(
        RedisStore::connect(&server.url()).await.expect("a store"),
        &database,
    );
    here.get(&1).await.expect("get");

    let written = here
        .write(&1, async {
            // Before the commit: reads go to the database, and leave no trace.
            for _ in 0..3 {
                let read = there.fetch(&1).await.expect("fetch");
                assert_eq!(read.value.as_deref(), Some("v1"));
                assert_eq!(read.source, Source::Loader);
            }
            database.put(1, "v2");
            // After the commit and before its end: the same.
            assert_eq!(there.get(&1).await.expect("get").as_deref(), Some("v2"));
            Ok::<_, std::io::Error>(())
        })
        .await
        .expect("write");
    assert!(matches!(written.cache, CacheState::Invalidated));

    assert_eq!(there.get(&1).await.expect("get").as_deref(), Some("v2"));
    let read = here.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.source),
        (Some("v2"), Source::Store)
    );
}

#[tokio::test]
async fn dropping_everything_keeps_loads_and_writers_under_way_from_storing() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = Database::with([(1, "v1"), (2, "v1"), (3, "v1")]);
    let rows = cache(store.clone(), &database);
    let others = larder_cache_aside::CacheAside::<u64, String>::builder(store, "other")
        .build(database.clone())
        .expect("a cache");
    others.get(&1).await.expect("get");
    rows.get(&2).await.expect("get");

    let loaded = database.hold_next_load();
    let reader = tokio::spawn({
        let rows = rows.clone();
        async move { rows.get(&1).await }
    });
    loaded.reached().await;
    let written = rows
        .write(&3, async {
            for id in 1..=3 {
                database.put(id, "v2");
            }
            rows.invalidate_all().await.expect("invalidate");
            Ok::<_, std::io::Error>(())
        })
        .await
        .expect("write");
    assert!(matches!(written.cache, CacheState::Invalidated));
    loaded.open();

    assert_eq!(
        reader.await.expect("the reader").expect("get").as_deref(),
        Some("v1")
    );
    assert_eq!(rows.stats().superseded, 1);
    for id in 1..=3 {
        assert_eq!(rows.get(&id).await.expect("get").as_deref(), Some("v2"));
    }
    assert_eq!(others.get(&1).await.expect("get").as_deref(), Some("v1"));
    assert_eq!(others.stats().hits, 1);
}

#[tokio::test]
async fn a_load_that_straddles_a_whole_write_stores_nothing() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = Database::with([(1, "v1")]);
    let rows = cache(store, &database);

    let loaded = database.hold_next_load();
    let reader = tokio::spawn({
        let rows = rows.clone();
        async move { rows.get(&1).await }
    });
    loaded.reached().await;
    let commit = async {
        database.put(1, "v2");
        Ok::<_, std::io::Error>(())
    };
    rows.write(&1, commit).await.expect("write");
    loaded.open();
    reader.await.expect("the reader").expect("get");
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v2"));
}

#[tokio::test]
async fn overlapping_writers_never_leave_the_older_value() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = Database::with([(1, "v1")]);
    let rows = cache(store, &database);
    let (first, second) = (larder_testing::Gate::new(), larder_testing::Gate::new());

    let writer = |gate: larder_testing::Gate, value: &'static str| {
        let (rows, database) = (rows.clone(), database.clone());
        tokio::spawn(async move {
            let commit = async {
                gate.pass().await;
                database.put(1, value);
                Ok::<_, std::io::Error>(())
            };
            rows.write(&1, commit).await.expect("write")
        })
    };
    let writers = (writer(first.clone(), "v2"), writer(second.clone(), "v3"));
    first.reached().await;
    second.reached().await;
    first.open();
    writers.0.await.expect("a writer");
    // One hold is left: what is read now is not stored.
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v2"));
    second.open();
    writers.1.await.expect("a writer");
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v3"));
}
