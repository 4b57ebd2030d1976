//! The behaviours of a read pattern. Each takes a fresh, empty store and what makes a cache over it.
//!
//! # Panics
//! Each panics if the cache doesn't behave.
#![expect(clippy::missing_panics_doc, reason = "said once, above")]
#![expect(clippy::unwrap_used, reason = "a failing cache fails the test here")]

use std::{io, sync::Arc, time::Duration};

use larder_cache::{Cache, ErrorKind, Freshness, Source};
use larder_store::{ErrorKind as StoreErrorKind, Namespace, Store};
use tokio::time::{sleep, timeout};

use crate::{Database, Fault, FaultStore, Operation, drop_at_await};

/// The cache under test.
pub type Subject = Arc<dyn Cache<u64, String>>;
/// What makes it.
pub type Make = fn(Arc<dyn Store>, Database) -> Subject;

/// A TTL or a grace of the caches under test.
const TTL: Duration = Duration::from_secs(60);
/// Longer than anything here takes, and shorter than a lease.
const SOON: Duration = Duration::from_secs(5);

fn rows(count: u64) -> Database {
    Database::with((0..count).map(|id| (id, "v1")))
}

async fn assert_reads(cache: &Subject, id: u64, row: &str) {
    let read = timeout(SOON, cache.get(&id)).await.unwrap();
    assert_eq!(read.unwrap().as_deref(), Some(row));
}

/// The first read loads, the others find.
pub async fn a_miss_loads_and_a_hit_does_not(store: Arc<dyn Store>, make: Make) {
    let database = rows(2);
    let cache = make(store, database.clone());
    let first = cache.fetch(&1).await.unwrap();
    assert_eq!(
        (first.value.as_deref(), first.source),
        (Some("v1"), Source::Loader)
    );
    assert_eq!(first.freshness, Freshness::Fresh);
    assert!(first.ttl_left > Duration::ZERO);
    let second = cache.fetch(&1).await.unwrap();
    assert_eq!(
        (second.value.as_deref(), second.source),
        (Some("v1"), Source::Store)
    );
    assert_reads(&cache, 1, "v1").await;
    assert_eq!(database.loads(), 1);
    assert_reads(&cache, 0, "v1").await;
    assert_eq!(database.loads(), 2);
}

/// What the origin doesn't have is no error, and by default not remembered.
pub async fn a_missing_row_is_none(store: Arc<dyn Store>, make: Make) {
    let database = rows(0);
    let cache = make(store, database.clone());
    assert_eq!(cache.get(&1).await.unwrap(), None);
    assert_eq!(cache.get_many(&[1, 2]).await.unwrap(), [None, None]);
    database.put(1, "v1");
    timeout(SOON, async {
        while cache.get(&1).await.unwrap().is_none() {}
    })
    .await
    .unwrap();
}

/// A batch answers in the order of its keys: hits, misses, missing rows, and keys that come twice.
pub async fn a_batch_comes_in_order(store: Arc<dyn Store>, make: Make) {
    let database = Database::with([(1, "a"), (2, "b"), (3, "c")]);
    let cache = make(store, database);
    assert_reads(&cache, 2, "b").await;
    let read = cache.get_many(&[3, 2, 9, 1, 3, 2]).await.unwrap();
    let read: Vec<_> = read.iter().map(Option::as_deref).collect();
    assert_eq!(
        read,
        [Some("c"), Some("b"), None, Some("a"), Some("c"), Some("b")]
    );
    assert!(cache.get_many(&[]).await.unwrap().is_empty());
}

/// What a batch misses is one `load_many`; what it finds is not loaded.
pub async fn a_batch_loads_what_is_missing_at_once(store: Arc<dyn Store>, make: Make) {
    let database = rows(20);
    let cache = make(store, database.clone());
    assert_reads(&cache, 3, "v1").await;
    let ids: Vec<u64> = (0..20).collect();
    assert!(
        cache
            .get_many(&ids)
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    assert_eq!((database.batches(), database.loads()), (1, 20));
    assert!(
        cache
            .get_many(&ids)
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    assert_eq!(database.loads(), 20);
}

/// After an invalidation the next read loads.
pub async fn an_invalidated_key_is_loaded_again(store: Arc<dyn Store>, make: Make) {
    let database = rows(3);
    let cache = make(store, database.clone());
    cache.get_many(&[0, 1, 2]).await.unwrap();
    for id in 0..3 {
        database.put(id, "v2");
    }
    cache.invalidate(&0).await.unwrap();
    cache.invalidate_many(&[2, 7]).await.unwrap();
    assert_reads(&cache, 0, "v2").await;
    assert_reads(&cache, 1, "v1").await;
    assert_reads(&cache, 2, "v2").await;
}

/// A whole cache can be invalidated, and only it.
pub async fn everything_can_be_invalidated(store: Arc<dyn Store>, make: Make) {
    let other = Namespace::new("other", 1).unwrap().key(&1_u64).unwrap();
    store.set(&other, "kept".into(), None).await.unwrap();
    let database = rows(3);
    let cache = make(Arc::clone(&store), database.clone());
    cache.get_many(&[0, 1, 2]).await.unwrap();
    for id in 0..3 {
        database.put(id, "v2");
    }
    cache.invalidate_all().await.unwrap();
    for id in 0..3 {
        assert_reads(&cache, id, "v2").await;
    }
    assert!(store.get(&other).await.unwrap().is_some());
}

/// A load that is older than an invalidation is returned to its caller, and to nobody else.
pub async fn an_older_load_is_never_stored(store: Arc<dyn Store>, make: Make) {
    let database = rows(2);
    let cache = make(store, database.clone());
    let gate = database.hold_next_load();
    let reader = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.get(&1).await }
    });
    gate.reached().await;
    database.put(1, "v2");
    cache.invalidate(&1).await.unwrap();
    gate.open();
    assert_eq!(reader.await.unwrap().unwrap().as_deref(), Some("v1"));
    assert_reads(&cache, 1, "v2").await;
    assert_reads(&cache, 1, "v2").await;
}

/// A read that starts after an invalidation gets the new value, while an older load is still under way; and so it is
/// where the invalidation was made in another process.
pub async fn a_read_after_an_invalidation_joins_no_older_load(store: Arc<dyn Store>, make: Make) {
    let database = rows(2);
    let cache = make(Arc::clone(&store), database.clone());
    let elsewhere = make(store, database.clone());
    for (id, invalidating) in [(0, &cache), (1, &elsewhere)] {
        let gate = database.hold_next_load();
        let reader = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { cache.get(&id).await }
        });
        gate.reached().await;
        database.put(id, "v2");
        invalidating.invalidate(&id).await.unwrap();
        assert_reads(&cache, id, "v2").await;
        assert_reads(&elsewhere, id, "v2").await;
        gate.open();
        assert_eq!(reader.await.unwrap().unwrap().as_deref(), Some("v1"));
        assert_reads(&cache, id, "v2").await;
    }
}

/// The same for batches.
pub async fn a_batch_after_an_invalidation_joins_no_older_load(store: Arc<dyn Store>, make: Make) {
    let database = rows(3);
    let cache = make(store, database.clone());
    let gate = database.hold_next_load();
    let reader = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.get_many(&[0, 1]).await }
    });
    gate.reached().await;
    for id in 0..3 {
        database.put(id, "v2");
    }
    cache.invalidate_many(&[0, 1, 2]).await.unwrap();
    let read = timeout(SOON, cache.get_many(&[1, 2, 0]))
        .await
        .unwrap()
        .unwrap();
    assert!(
        read.iter().all(|row| row.as_deref() == Some("v2")),
        "{read:?}"
    );
    gate.open();
    let read = reader.await.unwrap().unwrap();
    assert!(
        read.iter().all(|row| row.as_deref() == Some("v1")),
        "{read:?}"
    );
    for id in 0..3 {
        assert_reads(&cache, id, "v2").await;
    }
}

/// A failed load is an error with its source, and the next read loads again.
pub async fn a_loader_error_reaches_the_caller(store: Arc<dyn Store>, make: Make) {
    let database = rows(2);
    let cache = make(store, database.clone());
    database.fail(Some(io::ErrorKind::ConnectionRefused));
    for error in [
        cache.get(&1).await.unwrap_err(),
        cache.get_many(&[0, 1]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Loader);
        let source = error.loader_error::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    }
    database.fail(None);
    assert_reads(&cache, 1, "v1").await;
    assert_reads(&cache, 0, "v1").await;
}

/// A loader's panic is its caller's, and leaves the key free.
pub async fn a_panic_reaches_the_caller_and_frees_the_key(store: Arc<dyn Store>, make: Make) {
    let database = rows(2);
    let cache = make(store, database.clone());
    database.panic(true);
    let reader = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.get(&1).await }
    });
    assert!(reader.await.unwrap_err().is_panic());
    database.panic(false);
    assert_reads(&cache, 1, "v1").await;
    timeout(SOON, async {
        while cache.fetch(&1).await.unwrap().source == Source::Loader {}
    })
    .await
    .unwrap();
}

/// An entry past its TTL, within its grace, answers for a loader that fails; and is loaded again by one that doesn't.
/// Takes its TTL: use it with a paused clock.
pub async fn a_stale_entry_is_served_if_the_loader_fails(store: Arc<dyn Store>, make: Make) {
    if tokio::time::Instant::now().elapsed() != Duration::ZERO {
        // A real clock: the behaviour is the same, and was seen with a paused one.
        return;
    }
    let database = rows(2);
    let cache = make(store, database.clone());
    assert_reads(&cache, 1, "v1").await;
    sleep(TTL + Duration::from_secs(1)).await;
    database.put(1, "v2");
    database.fail(Some(io::ErrorKind::ConnectionRefused));
    let read = cache.fetch(&1).await.unwrap();
    assert_eq!(
        (read.value.as_deref(), read.freshness),
        (Some("v1"), Freshness::Stale)
    );
    database.fail(None);
    sleep(SOON).await;
    timeout(SOON, async {
        while cache.get(&1).await.unwrap().as_deref() != Some("v2") {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

/// A store that fails costs the cache, and no answer.
pub async fn the_loader_answers_while_the_store_is_down(store: Arc<dyn Store>, make: Make) {
    let database = rows(5);
    let store = FaultStore::new(store);
    let cache = make(store.clone().into(), database.clone());
    assert_reads(&cache, 1, "v1").await;
    store.down(Some(StoreErrorKind::Unavailable));
    let read = cache.fetch(&1).await.unwrap();
    assert_eq!(
        (read.value.as_deref(), read.source),
        (Some("v1"), Source::Loader)
    );
    let why = read.store_error.unwrap();
    assert_eq!(why.kind(), ErrorKind::Store(StoreErrorKind::Unavailable));
    assert!(
        cache
            .get_many(&[1, 2, 3])
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    assert_eq!(
        cache.invalidate(&1).await.unwrap_err().kind(),
        ErrorKind::Deferred
    );
    store.down(None);
    assert_reads(&cache, 4, "v1").await;
}

/// Whatever operation of a read fails, loses its reply or is applied late: the read is answered, and after the next
/// invalidation nobody reads what was before it.
pub async fn no_fault_of_the_store_leaves_a_stale_value(store: Arc<dyn Store>, make: Make) {
    let database = rows(0);
    let store = FaultStore::new(store);
    let cache = make(store.clone().into(), database.clone());
    let faults = [
        || Fault::Fail(StoreErrorKind::Unavailable),
        || Fault::DropReply,
        || Fault::Late,
    ];
    let mut id = 0;
    for operation in [
        Operation::Get,
        Operation::Update("lease"),
        Operation::Update("fill"),
    ] {
        for fault in faults {
            id += 1;
            database.put(id, "v1");
            store.inject(operation, fault());
            assert_reads(&cache, id, "v1").await;
            database.put(id, "v2");
            cache.invalidate(&id).await.unwrap();
            store.deliver_late().await;
            for _ in 0..3 {
                assert_reads(&cache, id, "v2").await;
            }
        }
    }
}

/// A read that is dropped at any of its awaits leaves no lease behind: the next one may store what it loads.
pub async fn a_dropped_read_leaves_nothing_behind(store: Arc<dyn Store>, make: Make) {
    let database = rows(100);
    database.delay(Duration::from_millis(1));
    let cache = make(slow(store).into(), database);
    let mut dropped = 0;
    for waits in 0.. {
        let id = waits as u64;
        if !drop_at_await(waits, cache.get(&id)).await {
            break;
        }
        dropped += 1;
        assert_free(&cache, id).await;
    }
    // The look-up, the lease, the load and the fill.
    assert!(dropped >= 4, "only {dropped} awaits");
}

/// The same for a batch.
pub async fn a_dropped_batch_leaves_nothing_behind(store: Arc<dyn Store>, make: Make) {
    let database = rows(1_000);
    database.delay(Duration::from_millis(1));
    let cache = make(slow(store).into(), database);
    let mut dropped = 0;
    for waits in 0.. {
        let ids: Vec<u64> = (0..3).map(|id| 10 * waits as u64 + id).collect();
        if !drop_at_await(waits, cache.get_many(&ids)).await {
            break;
        }
        dropped += 1;
        for id in ids {
            assert_free(&cache, id).await;
        }
    }
    assert!(dropped >= 3, "only {dropped} awaits");
}

/// The counters say what happened.
pub async fn what_happens_is_counted(store: Arc<dyn Store>, make: Make) {
    let cache = make(store, rows(10));
    assert_reads(&cache, 1, "v1").await;
    assert_reads(&cache, 1, "v1").await;
    cache.get_many(&[1, 2, 3]).await.unwrap();
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.loads), (2, 3, 3));
    assert!((stats.hit_ratio() - 0.4).abs() < 1e-9);
}

/// A store whose operations wait, so that there are awaits to drop at.
fn slow(store: Arc<dyn Store>) -> FaultStore {
    let store = FaultStore::new(store);
    for _ in 0..10_000 {
        store.inject(Operation::Any, Fault::Delay(Duration::from_millis(1)));
    }
    store
}

/// Nobody loads this key any more: soon a read finds it in the store.
async fn assert_free(cache: &Subject, id: u64) {
    let found = async {
        loop {
            let read = cache.fetch(&id).await.unwrap();
            assert_eq!(read.value.as_deref(), Some("v1"));
            if read.source == Source::Store {
                return;
            }
        }
    };
    timeout(SOON, found).await.unwrap();
}
