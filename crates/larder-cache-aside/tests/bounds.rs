//! The bounds of the guarantee, as the book names them: in each of these an old value is read after the write's `Ok`, and
//! no longer than the TTL allows.

mod common;

use std::{io, sync::Arc, time::Duration};

use common::{Database, address, builder, cache};
use larder_cache_aside::{CacheAside, CacheState, ErrorKind};
use larder_memory::MemoryStore;
use larder_redis::RedisStore;
use larder_store::{ErrorKind as StoreErrorKind, Store};
use larder_testing::{Fault, FaultStore, Gate, Operation, RedisServer};
use tokio::time::{sleep, timeout};

const TTL: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(10);

type Rows = CacheAside<u64, String>;

async fn read(rows: &Rows) -> Option<String> {
    rows.get(&1).await.expect("get")
}

/// The old row is served, and not for longer than its TTL.
async fn assert_stale_until_the_ttl_ends(rows: &Rows) {
    assert_eq!(read(rows).await.as_deref(), Some("old"));
    sleep(TTL).await;
    assert_eq!(read(rows).await.as_deref(), Some("new"));
}

/// A reader that loads the old row, and stops before it stores it.
async fn start_a_slow_read(
    rows: &Rows,
    database: &Database,
) -> (Gate, tokio::task::JoinHandle<Option<String>>) {
    let loaded = database.hold_next_load();
    let rows = rows.clone();
    let reader = tokio::spawn(async move { read(&rows).await });
    loaded.reached().await;
    (loaded, reader)
}

/// A writer that holds the key and waits before its commit, which `commit` lets happen. It dies right after.
async fn start_a_dying_write(rows: &Rows, database: &Database) -> Gate {
    let commit = Gate::new();
    let (rows, database, at) = (rows.clone(), database.clone(), commit.clone());
    tokio::spawn(async move {
        let dies = async {
            at.pass().await;
            database.put(1, "new");
            // Its process is killed here: neither an end nor an invalidation follows.
            std::future::pending::<Result<(), io::Error>>().await
        };
        rows.write(&1, dies).await
    });
    commit.reached().await;
    commit
}

#[tokio::test(start_paused = true)]
async fn replica_lag() {
    let primary = Database::with([(1, "old")]);
    let replica = primary.clone();
    let rows = cache(MemoryStore::new(100), &replica);
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    // Committed on the primary; the replica, which the loader asks, doesn't have it yet.
    rows.invalidate(&1).await.expect("invalidate");
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    replica.put(1, "new");
    assert_stale_until_the_ttl_ends(&rows).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_hold() {
    let store = MemoryStore::new(100);
    let database = Database::with([(1, "old")]);
    let rows = cache(store.clone(), &database);
    let commit = start_a_dying_write(&rows, &database).await;
    // Evicted.
    store.delete(&[address(1)]).await.expect("delete");
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    commit.open();
    sleep(Duration::from_millis(1)).await;
    assert_stale_until_the_ttl_ends(&rows).await;
}

#[tokio::test(start_paused = true)]
async fn an_outlived_hold() {
    let database = Database::with([(1, "old")]);
    let rows = builder(MemoryStore::new(100))
        .hold(HOLD)
        .build(database.clone())
        .expect("a cache");
    let commit = start_a_dying_write(&rows, &database).await;
    sleep(HOLD + Duration::from_millis(1)).await;
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    commit.open();
    sleep(Duration::from_millis(1)).await;
    assert_stale_until_the_ttl_ends(&rows).await;
}

/// The guarantee starts when the store has been told, not when the call returned.
#[tokio::test(start_paused = true)]
async fn a_deferred_invalidation() {
    let store = FaultStore::new(MemoryStore::new(100));
    let database = Database::with([(1, "old")]);
    let rows = cache(store.clone(), &database);
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    database.put(1, "new");
    store.inject(
        Operation::Update("invalidate"),
        Fault::Fail(StoreErrorKind::Unavailable),
    );
    let deferred = rows.invalidate(&1).await.expect_err("the store is down");
    assert_eq!(deferred.kind(), ErrorKind::Deferred);
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    rows.shutdown().await.expect("told by now");
    assert_eq!(read(&rows).await.as_deref(), Some("new"));
}

/// Its fate unknown, the write is followed by an invalidation when a hold would have run out. A commit that lands later than
/// that is noticed by nobody.
#[tokio::test(start_paused = true)]
async fn a_write_without_a_hold() {
    let store = FaultStore::new(MemoryStore::new(100));
    let database = Database::with([(1, "old")]);
    let rows = builder(store.clone())
        .hold(HOLD)
        .build(database.clone())
        .expect("a cache");
    store.inject(
        Operation::Update("begin"),
        Fault::Fail(StoreErrorKind::Unavailable),
    );
    let lost = async { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionReset)) };
    let error = rows
        .write(&1, lost)
        .await
        .expect_err("the connection broke");
    assert_eq!(error.kind(), ErrorKind::Writer);
    sleep(HOLD + Duration::from_secs(1)).await;
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    // The database commits after all.
    database.put(1, "new");
    assert_stale_until_the_ttl_ends(&rows).await;
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_that_is_never_made() {
    let database = Database::with([(1, "old")]);
    let rows = cache(MemoryStore::new(100), &database);
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    // Whoever committed this died before its invalidation.
    database.put(1, "new");
    assert_stale_until_the_ttl_ends(&rows).await;
}

/// A server that is restarted from a snapshot has what was cached when the snapshot was made.
#[tokio::test]
async fn a_rollback_of_redis() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let store: Arc<dyn Store> = store.into();
    let database = Database::with([(1, "old")]);
    let rows = builder(Arc::clone(&store))
        .ttl(TTL)
        .build(database.clone())
        .expect("a cache");
    assert_eq!(read(&rows).await.as_deref(), Some("old"));
    server.command::<String>(&["SAVE"]).await.expect("SAVE");

    let write = async {
        database.put(1, "new");
        Ok::<_, io::Error>(())
    };
    let written = rows.write(&1, write).await.expect("write");
    assert!(matches!(written.cache, CacheState::Invalidated));
    assert_eq!(read(&rows).await.as_deref(), Some("new"));

    server.kill().await.expect("kill");
    server.restart().await.expect("restart");
    let back = async {
        while store.ping().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), back).await.expect("back");
    let old = rows.fetch(&1).await.expect("fetch");
    assert_eq!(old.value.as_deref(), Some("old"));
    assert!(old.ttl_left <= TTL, "{:?}", old.ttl_left);
}

/// What was loaded before a lost hold is stored only if nothing else took the lease: with the hold in place it is not.
#[tokio::test(start_paused = true)]
async fn a_hold_that_is_there_is_no_bound() {
    let database = Database::with([(1, "old")]);
    let rows = cache(MemoryStore::new(100), &database);
    let (loaded, reader) = start_a_slow_read(&rows, &database).await;
    let commit = start_a_dying_write(&rows, &database).await;
    loaded.open();
    assert_eq!(reader.await.expect("a task").as_deref(), Some("old"));
    commit.open();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(read(&rows).await.as_deref(), Some("new"));
}
