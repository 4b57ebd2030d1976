//! What cache-aside does, in virtual time over the memory store.

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Database, address, builder, cache};
use larder_cache_aside::{
    Cache, CacheAside, ErrorKind, Freshness, Loader, Source, WriteError, async_trait,
};
use larder_memory::MemoryStore;
use larder_store::{ErrorKind as StoreErrorKind, Store};
use larder_testing::{Fault, FaultStore, Operation};
use tokio::time::{advance, sleep};

const TTL: Duration = Duration::from_secs(60);

/// To the nearest second: records carry milliseconds.
fn seconds(duration: Duration) -> u64 {
    (duration + Duration::from_millis(500)).as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_loaded_once_and_hit_until_its_ttl_ends() {
    let database = Database::with([(1, "row")]);
    let rows = cache(MemoryStore::new(10), &database);
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.source, read.freshness),
        (Source::Loader, Freshness::Fresh)
    );
    advance(Duration::from_secs(59)).await;
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.source, read.freshness),
        (Source::Store, Freshness::Fresh)
    );
    assert_eq!(seconds(read.age), 59);
    assert_eq!(seconds(read.ttl_left), 1);
    advance(Duration::from_secs(1)).await;
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Loader);
    let stats = rows.stats();
    assert_eq!((stats.hits, stats.misses, stats.loads), (1, 2, 2));
    assert_eq!(database.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn missing_rows_are_remembered_only_if_told_to() {
    let database = Database::default();
    let forgetful = cache(MemoryStore::new(10), &database);
    for _ in 0..3 {
        assert_eq!(forgetful.get(&1).await.expect("get"), None);
        forgetful.shutdown().await.expect("background");
    }
    assert_eq!(database.loads(), 3);

    let rows = builder(MemoryStore::new(10))
        .negative_ttl(Duration::from_secs(5))
        .build(database.clone())
        .expect("a cache");
    for _ in 0..3 {
        assert_eq!(rows.get(&1).await.expect("get"), None);
    }
    assert_eq!(database.loads(), 4);
    assert_eq!(rows.stats().negative_hits, 2);
    database.put(1, "row");
    rows.invalidate(&1).await.expect("invalidate");
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("row"));
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_expiry_below_the_ttl() {
    let store = MemoryStore::new(1_000);
    let database = Database::with((0..200).map(|id| (id, "row")));
    let rows = builder(store).jitter(0.5).build(database).expect("a cache");
    let mut left = Vec::new();
    for id in 0..200 {
        rows.get(&id).await.expect("get");
        left.push(rows.fetch(&id).await.expect("fetch").ttl_left);
    }
    left.sort();
    assert!(left[0] >= TTL / 2 && left[199] <= TTL);
    assert!(left[0] < TTL * 6 / 10, "{:?}", left[0]);
    assert!(left[199] > TTL * 9 / 10, "{:?}", left[199]);
}

struct Tokens;

#[async_trait]
impl Loader<u64, String> for Tokens {
    type Error = io::Error;

    async fn load(&self, id: &u64) -> io::Result<Option<String>> {
        Ok((*id != 0).then(|| id.to_string()))
    }

    fn ttl(&self, id: &u64, value: Option<&String>) -> Option<Duration> {
        value.map(|_| Duration::from_secs(*id))
    }
}

#[tokio::test(start_paused = true)]
async fn a_loader_may_set_the_ttl_of_what_it_returns() {
    let rows = builder(MemoryStore::new(10))
        .build(Tokens)
        .expect("a cache");
    for id in [0, 1, 5] {
        rows.get(&id).await.expect("get");
    }
    rows.shutdown().await.expect("background");
    for (id, left) in [(1, 1), (5, 5)] {
        assert_eq!(
            seconds(rows.fetch(&id).await.expect("fetch").ttl_left),
            left
        );
    }
    assert_eq!(rows.fetch(&0).await.expect("fetch").source, Source::Loader);
    advance(Duration::from_secs(1)).await;
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Loader);
}

#[tokio::test(start_paused = true)]
async fn a_stale_entry_is_served_if_the_loader_fails_within_its_grace() {
    let database = Database::with([(1, "old")]);
    let rows = builder(MemoryStore::new(10))
        .grace(TTL)
        .build(database.clone())
        .expect("a cache");
    rows.get(&1).await.expect("get");
    advance(TTL).await;
    database.fail(Some(io::ErrorKind::TimedOut));
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(read.value.as_deref(), Some("old"));
    assert_eq!(
        (read.source, read.freshness),
        (Source::Store, Freshness::Stale)
    );
    assert_eq!(read.load_error.expect("why").kind(), ErrorKind::Loader);
    assert_eq!(
        rows.get_many(&[1]).await.expect("get_many"),
        [Some("old".to_owned())]
    );
    assert_eq!(rows.stats().stale_served, 2);
    advance(TTL).await;
    assert_eq!(
        rows.get(&1).await.expect_err("gone").kind(),
        ErrorKind::Loader
    );
}

#[tokio::test(start_paused = true)]
async fn a_stale_entry_is_loaded_again_in_its_place() {
    let database = Database::with([(1, "old"), (2, "old")]);
    let rows = builder(MemoryStore::new(10))
        .grace(TTL)
        .build(database.clone())
        .expect("a cache");
    rows.get_many(&[1, 2]).await.expect("get_many");
    advance(TTL).await;
    database.put(1, "new");
    database.put(2, "new");
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.source),
        (Some("new"), Source::Loader)
    );
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Store);
    assert_eq!(
        rows.get_many(&[1, 2]).await.expect("get_many"),
        [Some("new".to_owned()), Some("new".to_owned())]
    );
    assert_eq!(rows.fetch(&2).await.expect("fetch").source, Source::Store);
    assert_eq!(rows.stats().refreshed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_loader_is_not_waited_for_longer_than_the_soft_timeout() {
    let database = Database::with([(1, "old")]);
    let rows = builder(MemoryStore::new(10))
        .grace(TTL)
        .soft_timeout(Duration::from_millis(50))
        .build(database.clone())
        .expect("a cache");
    rows.get(&1).await.expect("get");
    advance(TTL).await;
    database.put(1, "new");
    database.delay(Duration::from_secs(1));
    let started = tokio::time::Instant::now();
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(started.elapsed(), Duration::from_millis(50));
    assert_eq!(
        (read.value.as_deref(), read.freshness),
        (Some("old"), Freshness::Stale)
    );
    // The load went on, and its value was stored.
    sleep(Duration::from_secs(1)).await;
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.source),
        (Some("new"), Source::Store)
    );
    assert_eq!(database.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_look_one_load_and_keeps_its_order() {
    let database = Database::with((0..10).map(|id| (id, "row")));
    let store = FaultStore::new(MemoryStore::new(100));
    let rows = cache(store.clone(), &database);
    rows.get(&3).await.expect("get");
    let _ = store.operations();
    let read = rows.get_many(&[11, 3, 4, 4]).await.expect("get_many");
    let row = || Some("row".to_owned());
    assert_eq!(read, [None, row(), row(), row()]);
    let operations = [
        Operation::GetMany,
        Operation::Update("lease"),
        Operation::Update("fill"),
    ];
    assert_eq!(store.operations()[..3], operations);
    assert_eq!(database.batches(), 1);
    assert_eq!(rows.get_many(&[]).await.expect("get_many"), []);
}

#[tokio::test(start_paused = true)]
async fn warming_loads_what_is_missing_and_tells_how_far_it_is() {
    let database = Database::with((0..1_000).map(|id| (id, "row")));
    let rows = cache(MemoryStore::new(10_000), &database);
    rows.get(&0).await.expect("get");
    let seen = Arc::<Mutex<Vec<u64>>>::default();
    let progress = rows
        .warm(0..1_000)
        .batch(64)
        .concurrency(3)
        .on_progress({
            let seen = Arc::clone(&seen);
            move |progress| seen.lock().expect("a lock").push(progress.done)
        })
        .run()
        .await;
    assert_eq!((progress.total, progress.done), (1_000, 1_000));
    assert_eq!((progress.loaded, progress.failed), (999, 0));
    let seen = seen.lock().expect("a lock").clone();
    assert_eq!((seen.len(), seen.last().copied()), (16, Some(1_000)));
    assert!(seen.is_sorted());
    let before = database.loads();
    assert!(
        rows.get_many(&(0..1_000).collect::<Vec<_>>())
            .await
            .expect("get_many")
            .iter()
            .all(Option::is_some)
    );
    assert_eq!(database.loads(), before);

    database.fail(Some(io::ErrorKind::TimedOut));
    let progress = rows.warm(990..1_010).batch(10).run().await;
    assert_eq!((progress.done, progress.failed), (20, 10));
    assert_eq!(progress.error.expect("why").kind(), ErrorKind::Loader);
}

#[tokio::test(start_paused = true)]
async fn a_rolled_back_write_frees_the_key_at_once_and_an_unknown_one_after_its_hold() {
    let database = Database::with([(1, "row")]);
    let rows = cache(MemoryStore::new(10), &database);
    let rolled_back =
        async { Err::<(), _>(WriteError::rolled_back(io::Error::other("constraint"))) };
    let error = rows.write(&1, rolled_back).await.expect_err("rolled back");
    assert_eq!(error.kind(), ErrorKind::Writer);
    assert_eq!(
        error
            .writer_error::<io::Error>()
            .expect("an io::Error")
            .to_string(),
        "constraint"
    );
    rows.get(&1).await.expect("get");
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Store);

    let unknown = async { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionReset)) };
    rows.write(&1, unknown).await.expect_err("unknown");
    advance(Duration::from_millis(9_999)).await;
    rows.get(&1).await.expect("get");
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Loader);
    advance(Duration::from_millis(1)).await;
    rows.get(&1).await.expect("get");
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Store);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_hold_was_not_acknowledged_still_leaves_nothing_stale() {
    for fault in [
        Fault::DropReply,
        Fault::Late,
        Fault::Fail(StoreErrorKind::Timeout),
    ] {
        let database = Database::with([(1, "old")]);
        let store = FaultStore::new(MemoryStore::new(10));
        let rows = cache(store.clone(), &database);
        rows.get(&1).await.expect("get");
        store.inject(Operation::Update("begin"), fault.clone());
        let commit = async {
            database.put(1, "new");
            Ok::<_, io::Error>(())
        };
        rows.write(&1, commit).await.expect("write");
        store.deliver_late().await;
        assert_eq!(
            rows.get(&1).await.expect("get").as_deref(),
            Some("new"),
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_grant_was_not_acknowledged_is_never_used() {
    let database = Database::with([(1, "old")]);
    let store = FaultStore::new(MemoryStore::new(10));
    let rows = cache(store.clone(), &database);
    store.inject(Operation::Update("lease"), Fault::DropReply);
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        read.store_error.expect("why").kind(),
        ErrorKind::Store(StoreErrorKind::Timeout)
    );
    let record = store
        .get(&address(1))
        .await
        .expect("get")
        .expect("the lease");
    assert_eq!(record[4], b'L');
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_acknowledged_is_made_up_for() {
    let database = Database::with([(1, "old")]);
    let store = FaultStore::new(MemoryStore::new(10));
    let rows = cache(store.clone(), &database);
    rows.get(&1).await.expect("get");
    store.inject(
        Operation::Update("end"),
        Fault::Fail(StoreErrorKind::Timeout),
    );
    let commit = async {
        database.put(1, "new");
        Ok::<_, io::Error>(())
    };
    let written = rows.write(&1, commit).await.expect("write");
    assert!(matches!(
        written.cache,
        larder_cache_aside::CacheState::Deferred(_)
    ));
    rows.shutdown().await.expect("nothing left");
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("new"));
}

/// More keys than one batch of the background, all of them first in line, fail by themselves.
#[tokio::test(start_paused = true)]
async fn keys_that_fail_by_themselves_keep_no_others_waiting() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rows = cache(
        store.clone(),
        &Database::with((0..400).map(|id| (id, "row"))),
    );
    for id in 0..300 {
        store.refuse(&address(id), StoreErrorKind::Unavailable);
    }
    let (refused, fine): (Vec<u64>, Vec<u64>) = (0..400).partition(|id| *id < 300);
    for ids in [&refused, &fine] {
        store.inject(
            Operation::Update("invalidate"),
            Fault::Fail(StoreErrorKind::Unavailable),
        );
        let error = rows.invalidate_many(ids).await.expect_err("deferred");
        assert_eq!(error.kind(), ErrorKind::Deferred);
    }
    sleep(Duration::from_secs(30)).await;
    assert_eq!(rows.deferred(), refused.len());
    // One that comes after they have failed for long.
    store.inject(
        Operation::Update("invalidate"),
        Fault::Fail(StoreErrorKind::Unavailable),
    );
    let error = rows.invalidate(&399).await.expect_err("deferred");
    assert_eq!(error.kind(), ErrorKind::Deferred);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(rows.deferred(), refused.len());
}

#[tokio::test(start_paused = true)]
async fn versions_and_names_keep_apart() {
    let store = MemoryStore::new(10);
    let named = |name: &str, version, value: &'static str| -> CacheAside<u64, String> {
        CacheAside::builder(store.clone(), name)
            .version(version)
            .build(move |_: u64| async move { Ok::<_, io::Error>(Some(value.to_owned())) })
            .expect("a cache")
    };
    for (name, version, value) in [("a", 1, "a1"), ("a", 2, "a2"), ("b", 1, "b1")] {
        let rows = named(name, version, value);
        rows.get(&1).await.expect("get");
        let read = rows.fetch(&1).await.expect("fetch");
        assert_eq!(
            (read.value.as_deref(), read.source),
            (Some(value), Source::Store)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_used_as_any_read_pattern() {
    let rows: Arc<dyn Cache<u64, String>> =
        Arc::new(cache(MemoryStore::new(10), &Database::with([(1, "row")])));
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("row"));
    assert_eq!(rows.fetch(&1).await.expect("fetch").source, Source::Store);
    assert_eq!(rows.get_many(&[1]).await.expect("get_many").len(), 1);
    rows.invalidate(&1).await.expect("invalidate");
    rows.invalidate_many(&[1, 2])
        .await
        .expect("invalidate_many");
    assert_eq!(rows.stats().hits, 2);
    rows.shutdown().await.expect("shutdown");
    assert_eq!(rows.deferred(), 0);
}

#[tokio::test(start_paused = true)]
async fn debug_shows_no_key_and_no_value() {
    let rows = cache(MemoryStore::new(10), &Database::with([(1, "secret")]));
    let read = rows.fetch(&1).await.expect("fetch");
    let shown = format!("{rows:?} {read:?}");
    assert!(!shown.contains("secret"), "{shown}");
}
