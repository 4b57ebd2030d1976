//! It stays up when Redis doesn't.

mod common;

use std::time::{Duration, Instant};

use common::{Database, cache};
use larder_cache_aside::{CacheAside, CacheState, ErrorKind, Source};
use larder_redis::RedisStore;
use larder_testing::{RedisServer, slowest_but_one};

const DEADLINE: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_millis(50);
const BACK_WITHIN: Duration = Duration::from_secs(1);
/// No single read takes longer, whatever the machine does meanwhile.
const LONGEST: Duration = Duration::from_secs(1);

async fn rig() -> (RedisServer, Database, CacheAside<u64, String>) {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = Database::with([(1, "row")]);
    let rows = cache(store, &database);
    rows.get(&1).await.expect("get");
    (server, database, rows)
}

/// Reads that the loader answers, in time, because the store can't.
async fn assert_loader_answers(rows: &CacheAside<u64, String>) {
    let mut times = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        let read = rows.fetch(&1).await.expect("fetch");
        let took = started.elapsed();
        assert!(took <= LONGEST, "{took:?}");
        times.push(took);
        assert_eq!(read.value.as_deref(), Some("row"));
        assert_eq!(read.source, Source::Loader);
        let error = read.store_error.expect("why the store was of no use");
        assert!(error.is_transient(), "{error:?}");
    }
    assert!(slowest_but_one(&times) <= DEADLINE + SLACK, "{times:?}");
}

/// Reads until the store answers again, which must not take long.
async fn assert_store_is_used_again(rows: &CacheAside<u64, String>) {
    let started = Instant::now();
    while rows.fetch(&1).await.expect("fetch").source != Source::Store {
        assert!(started.elapsed() < BACK_WITHIN, "not used again in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn redis_killed_and_restarted() {
    let (server, _, rows) = rig().await;
    server.kill().await.expect("kill");
    assert_loader_answers(&rows).await;
    server.restart().await.expect("restart");
    assert_store_is_used_again(&rows).await;
}

#[tokio::test]
async fn redis_hung() {
    let (server, _, rows) = rig().await;
    server.pause().expect("pause");
    assert_loader_answers(&rows).await;
    server.resume().expect("resume");
    assert_store_is_used_again(&rows).await;
}

#[tokio::test]
async fn a_batch_is_loaded_while_redis_is_down() {
    let (server, database, rows) = rig().await;
    database.put(2, "two");
    server.kill().await.expect("kill");
    let read = rows.get_many(&[1, 2, 3]).await.expect("get_many");
    assert_eq!(read, [Some("row".into()), Some("two".into()), None]);
}

#[tokio::test]
async fn an_invalidation_that_redis_could_not_be_told_is_made_up_for() {
    let (server, database, rows) = rig().await;
    server.pause().expect("pause");
    database.put(1, "new");
    let error = rows.invalidate(&1).await.expect_err("deferred");
    assert_eq!(error.kind(), ErrorKind::Deferred);
    assert_eq!((rows.deferred(), rows.stats().deferred), (1, 1));
    server.resume().expect("resume");
    let started = Instant::now();
    while rows.deferred() > 0 {
        assert!(started.elapsed() < 3 * BACK_WITHIN, "never made up for");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rows.shutdown().await.expect("nothing left");
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("new"));
}

#[tokio::test]
async fn a_write_goes_on_without_redis_and_says_that_its_invalidation_is_deferred() {
    let (server, database, rows) = rig().await;
    server.pause().expect("pause");
    let commit = async {
        database.put(1, "new");
        Ok::<_, std::io::Error>("written")
    };
    let written = rows.write(&1, commit).await.expect("write");
    assert_eq!(written.value, "written");
    assert!(
        matches!(written.cache, CacheState::Deferred(_)),
        "{written:?}"
    );
    server.resume().expect("resume");
    rows.shutdown().await.expect("nothing left");
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("new"));
}

#[tokio::test]
async fn a_write_that_requires_the_store_is_refused_before_it_starts() {
    let (server, database, _) = rig().await;
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let rows = common::builder(store)
        .store_required(true)
        .build(database.clone())
        .expect("a cache");
    server.kill().await.expect("kill");
    let commit = async {
        database.put(1, "new");
        Ok::<_, std::io::Error>(())
    };
    let error = rows.write(&1, commit).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("row"));
}
