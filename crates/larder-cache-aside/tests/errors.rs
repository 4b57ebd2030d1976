//! Every failure has its kind and its source, none panics, and none loses the loaded value.

mod common;

use std::{io, time::Duration};

use bytes::Bytes;
use common::{Database, address, builder, cache};
use larder_cache_aside::{CacheAside, Error, ErrorKind, Fetched, Source};
use larder_memory::MemoryStore;
use larder_redis::RedisStore;
use larder_store::{ErrorKind as StoreErrorKind, Store};
use larder_testing::{Fault, FaultStore, Operation, RedisServer};

/// The value came from the loader, and this is why.
fn assert_loaded(read: &Fetched<String>, why: ErrorKind) {
    assert_eq!(read.value.as_deref(), Some("row"));
    assert_eq!(read.source, Source::Loader);
    let error = read.store_error.as_ref().expect("a reason");
    assert_eq!(error.kind(), why, "{error:?}");
}

#[tokio::test]
async fn another_type_at_the_key() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let rows = cache(store, &Database::with([(1, "row")]));
    let name = "larder:row:1:1";
    server
        .command::<i64>(&["RPUSH", name, "x"])
        .await
        .expect("push");
    for _ in 0..2 {
        let read = rows.fetch(&1).await.expect("fetch");
        assert_loaded(&read, ErrorKind::Store(StoreErrorKind::WrongType));
    }
    assert_eq!(
        server
            .command::<i64>(&["LLEN", name])
            .await
            .expect("length"),
        1
    );
    let error = rows.invalidate(&1).await.expect_err("not ours");
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::WrongType));
    assert_eq!(rows.deferred(), 0);
}

#[tokio::test]
async fn foreign_bytes_are_left_alone() {
    let store = MemoryStore::new(10);
    let rows = cache(store.clone(), &Database::with([(1, "row")]));
    for foreign in [
        &b"{\"json\":1}"[..],
        b"",
        b"LDR\x02V of a later version",
        b"LDR\x01?",
    ] {
        store
            .set(&address(1), Bytes::from_static(foreign), None)
            .await
            .expect("set");
        let read = rows.fetch(&1).await.expect("fetch");
        assert_loaded(&read, ErrorKind::Foreign);
        let left = store.get(&address(1)).await.expect("get");
        assert_eq!(left.as_deref(), Some(foreign));
    }
    assert_eq!(rows.stats().undecodable, 4);
}

#[tokio::test]
async fn an_undecodable_record_of_ours_is_replaced() {
    let store = MemoryStore::new(10);
    let rows = cache(store.clone(), &Database::with([(1, "row")]));
    rows.get(&1).await.expect("get");
    let record = store
        .get(&address(1))
        .await
        .expect("get")
        .expect("a record");
    let mut damaged = record.to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let mut longer = record.to_vec();
    longer.push(0);
    for bad in [damaged, longer] {
        store.set(&address(1), bad.into(), None).await.expect("set");
        assert_loaded(
            &rows.fetch(&1).await.expect("fetch"),
            ErrorKind::Undecodable,
        );
        assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Store);
    }
    assert_eq!(rows.stats().undecodable, 2);
}

#[tokio::test]
async fn a_record_of_another_shape_is_replaced() {
    let store = MemoryStore::new(10);
    let numbers: CacheAside<u64, u32> = CacheAside::builder(store.clone(), common::NAME)
        .build(|_: u64| async { Ok::<_, io::Error>(Some(7)) })
        .expect("a cache");
    numbers.get(&1).await.expect("get");
    let rows = cache(store, &Database::with([(1, "row")]));
    let read = rows.fetch(&1).await.expect("fetch");
    assert_loaded(&read, ErrorKind::Undecodable);
    let error = read.store_error.expect("a reason");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Store);
}

#[tokio::test]
async fn a_key_over_the_limit() {
    let long = "x".repeat(2_000);
    let rows: CacheAside<String, String> = CacheAside::builder(MemoryStore::new(10), "row")
        .build(|_: String| async { Ok::<_, io::Error>(Some("row".to_owned())) })
        .expect("a cache");
    let read = rows.fetch(&long).await.expect("fetch");
    assert_loaded(&read, ErrorKind::Store(StoreErrorKind::KeyTooLong));
    let many = rows
        .get_many(&["short".to_owned(), long.clone()])
        .await
        .expect("get_many");
    assert_eq!(many, [Some("row".to_owned()), Some("row".to_owned())]);
    let written = rows
        .write(&long, async { Ok::<_, io::Error>(7) })
        .await
        .expect("write");
    assert_eq!(written.value, 7);
    rows.invalidate(&long).await.expect("it was never cached");
}

#[tokio::test]
async fn a_value_over_the_limit() {
    let too_large = ErrorKind::Store(StoreErrorKind::ValueTooLarge);
    let database = Database::with([(1, "row")]);
    let rows = builder(MemoryStore::new(10))
        .max_value_len(3)
        .build(database.clone());
    let rows = rows.expect("a cache");
    for _ in 0..2 {
        assert_loaded(&rows.fetch(&1).await.expect("fetch"), too_large);
        // The lease is given back in the background.
        rows.shutdown().await.expect("background");
    }
    // The store's own limit does the same.
    let small = MemoryStore::builder()
        .max_value_len(30)
        .build()
        .expect("a store");
    let rows = cache(small, &database);
    assert_loaded(&rows.fetch(&1).await.expect("fetch"), too_large);
}

#[tokio::test]
async fn a_loader_error_keeps_its_type() {
    let database = Database::default();
    database.fail(Some(io::ErrorKind::ConnectionRefused));
    let rows = cache(MemoryStore::new(10), &database);
    for outcome in [
        rows.get(&1).await.map(drop),
        rows.get_many(&[1]).await.map(drop),
    ] {
        let error: Error = outcome.expect_err("the loader's");
        assert_eq!(error.kind(), ErrorKind::Loader);
        let source = error.loader_error::<io::Error>().expect("an io::Error");
        assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    }
    // The key is free again.
    database.fail(None);
    database.put(1, "row");
    rows.get(&1).await.expect("get");
    rows.shutdown().await.expect("background");
    rows.get(&1).await.expect("get");
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Store);
    assert_eq!(rows.stats().load_errors, 2);
}

#[tokio::test(start_paused = true)]
async fn a_loader_timeout() {
    let database = Database::with([(1, "row")]);
    database.delay(Duration::from_secs(60));
    let rows = builder(MemoryStore::new(10))
        .load_timeout(Duration::from_secs(2))
        .build(database)
        .expect("a cache");
    let started = tokio::time::Instant::now();
    let error = rows.get(&1).await.expect_err("too slow");
    assert_eq!(error.kind(), ErrorKind::LoaderTimeout);
    assert_eq!(started.elapsed().as_secs(), 2);
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_loader_that_returns_another_number_of_values() {
    struct Short;
    #[larder_cache_aside::async_trait]
    impl larder_cache_aside::Loader<u64, String> for Short {
        type Error = io::Error;
        async fn load(&self, _: &u64) -> io::Result<Option<String>> {
            Ok(None)
        }
        async fn load_many(&self, _: &[u64]) -> io::Result<Vec<Option<String>>> {
            Ok(vec![None])
        }
    }
    let rows = builder(MemoryStore::new(10)).build(Short).expect("a cache");
    let error = rows.get_many(&[1, 2]).await.expect_err("one too few");
    assert_eq!(error.kind(), ErrorKind::Loader);
}

#[tokio::test]
async fn a_store_that_fails_at_any_step_loses_nothing() {
    for (operation, kind) in [
        (Operation::Get, StoreErrorKind::Unavailable),
        (Operation::Update("lease"), StoreErrorKind::Timeout),
        (Operation::Update("fill"), StoreErrorKind::OutOfMemory),
    ] {
        let store = FaultStore::new(MemoryStore::new(10));
        store.inject(operation, Fault::Fail(kind));
        let rows = cache(store, &Database::with([(1, "row")]));
        let read = rows.fetch(&1).await.expect("fetch");
        assert_loaded(&read, ErrorKind::Store(kind));
        assert_eq!(rows.stats().store_errors, 1);
    }
}

#[tokio::test]
async fn settings_that_cannot_work() {
    let store = MemoryStore::new(10);
    let zero = Duration::ZERO;
    let bad = [
        builder(store.clone()).ttl(zero).build(Database::default()),
        builder(store.clone())
            .lease(zero)
            .build(Database::default()),
        builder(store.clone()).hold(zero).build(Database::default()),
        builder(store.clone())
            .load_timeout(zero)
            .build(Database::default()),
        builder(store.clone())
            .jitter(1.5)
            .build(Database::default()),
        builder(store.clone())
            .jitter(f64::NAN)
            .build(Database::default()),
        CacheAside::builder(store.clone(), "").build(Database::default()),
        CacheAside::builder(store, "a:b").build(Database::default()),
    ];
    for outcome in bad {
        assert_eq!(outcome.expect_err("bad").kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn dropping_everything_says_when_it_could_not() {
    let database = Database::with((0..10).map(|id| (id, "row")));
    let store = FaultStore::new(MemoryStore::new(100));
    let rows = cache(store.clone(), &database);
    rows.get_many(&(0..10).collect::<Vec<_>>())
        .await
        .expect("get_many");
    store.inject(Operation::Scan, Fault::Fail(StoreErrorKind::Unavailable));
    let error = rows.invalidate_all().await.expect_err("no scan");
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Unavailable));
    store.inject(
        Operation::Update("invalidate"),
        Fault::Fail(StoreErrorKind::Unavailable),
    );
    let error = rows.invalidate_all().await.expect_err("not told");
    assert_eq!(error.kind(), ErrorKind::Deferred);
    rows.shutdown().await.expect("sent in the background");
    let loads = database.loads();
    rows.get_many(&(0..10).collect::<Vec<_>>())
        .await
        .expect("get_many");
    assert_eq!(database.loads(), loads + 10);
}
