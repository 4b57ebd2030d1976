//! What refresh-ahead adds to what every read pattern does, in virtual time.

mod common;

use std::{io, time::Duration};

use common::{Database, address, builder};
use larder_memory::MemoryStore;
use larder_refresh_ahead::{ErrorKind, Freshness, RefreshAhead, RefreshAheadBuilder, Source};
use larder_store::{ErrorKind as StoreErrorKind, Store};
use larder_testing::{Fault, FaultStore, Operation};
use tokio::{
    task::yield_now,
    time::{Instant, advance, sleep},
};

const TTL: Duration = Duration::from_secs(10);
const LOAD: Duration = Duration::from_millis(200);

type Rows = RefreshAhead<u64, String>;
type Builder = RefreshAheadBuilder<u64, String>;
type Setting = fn(Builder) -> Builder;

fn slow_rows() -> Database {
    let database = Database::with((0..200).map(|id| (id, "v1")));
    database.delay(LOAD);
    database
}

fn hot(store: &MemoryStore) -> Builder {
    builder(store.clone()).ttl(TTL)
}

/// Reads one key a hundred times a second for ten minutes, from each of these processes in turn. Returns how many callers
/// had to wait after the first one.
async fn read_for_ten_minutes(processes: &[Rows]) -> usize {
    processes[0].get(&1).await.expect("get");
    let mut blocked = 0;
    for number in 0..60_000 {
        let started = Instant::now();
        let read = processes[number % processes.len()]
            .get(&1)
            .await
            .expect("get");
        assert_eq!(read.as_deref(), Some("v1"));
        blocked += usize::from(started.elapsed() > Duration::ZERO);
        sleep(Duration::from_millis(10)).await;
    }
    blocked
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_never_blocks_and_is_loaded_once_a_period() {
    // The lots of `early` are drawn anew in each run; these are the same ones.
    fastrand::seed(1);
    let policies: [(&str, Setting); 4] = [
        ("refresh_at(0.8)", |builder| builder.refresh_at(0.8)),
        ("refresh_before(2 s)", |builder| {
            builder.refresh_before(TTL / 5)
        }),
        ("early(1.0)", |builder| builder.early(1.0)),
        ("early(2.0)", |builder| builder.early(2.0)),
    ];
    for (name, policy) in policies {
        for processes in [1, 2] {
            let store = MemoryStore::new(100);
            let database = slow_rows();
            let rows: Vec<Rows> = (0..processes)
                .map(|_| {
                    policy(hot(&store))
                        .build(database.clone())
                        .expect("a cache")
                })
                .collect();
            let blocked = read_for_ten_minutes(&rows).await;
            println!(
                "{name}, {processes} processes: {} loads, {blocked} blocked",
                database.loads()
            );
            assert_eq!(blocked, 0, "{name}, {processes} processes");
            assert!(
                database.loads() <= 75,
                "{name}, {processes} processes: {}",
                database.loads()
            );
            assert!(
                database.loads() >= 58,
                "{name}, {processes} processes: {}",
                database.loads()
            );
            for rows in rows {
                rows.shutdown().await.expect("shutdown");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_due_entry_is_served_at_once_and_replaced_behind() {
    let store = MemoryStore::new(100);
    let database = slow_rows();
    let rows = hot(&store).build(database.clone()).expect("a cache");
    rows.get(&1).await.expect("get");
    advance(TTL * 7 / 10).await;
    assert_eq!(
        rows.fetch(&1).await.expect("fetch").freshness,
        Freshness::Fresh
    );
    assert_eq!(rows.refreshing(), 0);
    advance(TTL / 10).await;
    database.put(1, "v2");
    for _ in 0..5 {
        let read = rows.fetch(&1).await.expect("fetch");
        assert_eq!(
            (read.value.as_deref(), read.freshness),
            (Some("v1"), Freshness::Due)
        );
        assert_eq!(read.source, Source::Store);
    }
    assert_eq!(rows.refreshing(), 1);
    rows.shutdown().await.expect("shutdown");
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.freshness),
        (Some("v2"), Freshness::Fresh)
    );
    assert_eq!(
        (database.loads(), rows.stats().refreshed, rows.tasks()),
        (2, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_never_overwrites_a_newer_value() {
    let store = MemoryStore::new(100);
    let database = slow_rows();
    let rows = hot(&store).build(database.clone()).expect("a cache");
    for invalidated in [true, false] {
        database.put(1, "v1");
        rows.invalidate(&1).await.expect("invalidate");
        rows.get(&1).await.expect("get");
        advance(TTL * 9 / 10).await;
        let reloading = database.hold_next_load();
        rows.get(&1).await.expect("get");
        reloading.reached().await;
        if invalidated {
            database.put(1, "v2");
            rows.invalidate(&1).await.expect("invalidate");
        } else {
            let write = async {
                database.put(1, "v2");
                Ok::<_, io::Error>(())
            };
            rows.write(&1, write).await.expect("write");
        }
        assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v2"));
        let before = store.get(&address(1)).await.expect("get");
        reloading.open();
        rows.shutdown().await.expect("shutdown");
        assert_eq!(store.get(&address(1)).await.expect("get"), before);
        assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v2"));
    }
    assert_eq!(rows.stats().superseded, 2);
}

#[tokio::test(start_paused = true)]
async fn failed_refreshes_back_off_in_all_processes_and_keep_the_value() {
    let store = MemoryStore::new(100);
    let database = slow_rows();
    let make = || {
        hot(&store)
            .ttl(10 * TTL)
            .backoff(Duration::from_secs(1), Duration::from_secs(4))
            .build(database.clone())
            .expect("a cache")
    };
    let (here, there) = (make(), make());
    here.get(&1).await.expect("get");
    advance(8 * TTL).await;
    database.fail(Some(io::ErrorKind::ConnectionRefused));
    for _ in 0..1_100 {
        for rows in [&here, &there] {
            assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v1"));
        }
        sleep(Duration::from_millis(10)).await;
    }
    // At 0, 1, 3 and 7 s, each try taking 0.2 s; by the one that has the claim.
    let tries = database.loads() - 1;
    assert!((3..=5).contains(&tries), "{tries} tries");
    let errors = here.stats().refresh_errors + there.stats().refresh_errors;
    assert_eq!(errors, tries);
    // Whoever asks is told why.
    let (here_says, there_says) = (here.fetch(&1).await, there.fetch(&1).await);
    let says = [here_says, there_says].map(|read| read.expect("fetch").load_error);
    assert!(says.iter().any(Option::is_some), "{says:?}");
    for error in says.iter().flatten() {
        let error = error.loader_error::<io::Error>().expect("the loader's");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
    database.fail(None);
    sleep(Duration::from_secs(5)).await;
    here.get(&1).await.expect("get");
    there.get(&1).await.expect("get");
    sleep(LOAD * 2).await;
    let read = here.fetch(&1).await.expect("fetch");
    assert_eq!(read.freshness, Freshness::Fresh);
    assert!(read.load_error.is_none());
}

/// What the store does is no failure of the loader.
#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_is_the_store_s_error() {
    let store = FaultStore::new(MemoryStore::new(100));
    let rows = builder(store.clone())
        .ttl(TTL)
        .build(slow_rows())
        .expect("a cache");
    rows.get(&1).await.expect("get");
    sleep(TTL * 9 / 10).await;
    store.inject(
        Operation::Update("claim"),
        Fault::Fail(StoreErrorKind::Unavailable),
    );
    rows.get(&1).await.expect("get");
    rows.shutdown().await.expect("shutdown");
    let read = rows.fetch(&1).await.expect("fetch");
    assert!(read.load_error.is_none());
    let error = read.store_error.expect("the store's");
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Unavailable));
}

/// A margin that is longer than the TTL would refresh at every read.
#[tokio::test(start_paused = true)]
async fn no_margin_is_longer_than_half_of_the_ttl() {
    let store = MemoryStore::new(100);
    let database = slow_rows();
    let rows = hot(&store)
        .refresh_before(2 * TTL)
        .build(database.clone())
        .expect("a cache");
    rows.get(&1).await.expect("get");
    for (wait, freshness) in [
        (TTL * 4 / 10, Freshness::Fresh),
        (TTL * 2 / 10, Freshness::Due),
    ] {
        sleep(wait).await;
        let read = rows.fetch(&1).await.expect("fetch");
        assert_eq!(read.freshness, freshness);
    }
}

/// A row that the database has no more takes its entry with it.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_gone_drops_its_entry() {
    let store = MemoryStore::new(100);
    let database = slow_rows();
    let rows = hot(&store).build(database.clone()).expect("a cache");
    rows.get(&1).await.expect("get");
    database.remove(1);
    sleep(TTL * 9 / 10).await;
    assert!(rows.get(&1).await.expect("get").is_some());
    rows.shutdown().await.expect("shutdown");
    assert_eq!(rows.get(&1).await.expect("get"), None);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_panics_is_one_that_failed() {
    let store = MemoryStore::new(100);
    let database = slow_rows();
    let rows = hot(&store).build(database.clone()).expect("a cache");
    rows.get(&1).await.expect("get");
    advance(TTL * 9 / 10).await;
    database.panic(true);
    assert!(rows.get(&1).await.expect("get").is_some());
    rows.shutdown().await.expect("shutdown");
    assert_eq!((rows.stats().refresh_errors, rows.refreshing()), (1, 0));
    database.panic(false);
    sleep(TTL).await;
    assert!(rows.get(&1).await.expect("get").is_some());
}

#[tokio::test(start_paused = true)]
async fn past_its_ttl_an_entry_is_served_while_it_is_loaded_again() {
    let store = MemoryStore::new(100);
    let database = slow_rows();
    let rows = hot(&store)
        .stale_while_revalidate(TTL)
        .grace(3 * TTL)
        .build(database.clone())
        .expect("a cache");
    rows.get(&1).await.expect("get");
    database.put(1, "v2");
    advance(TTL + TTL / 2).await;
    let started = Instant::now();
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.freshness),
        (Some("v1"), Freshness::Stale)
    );
    assert_eq!(started.elapsed(), Duration::ZERO);
    sleep(LOAD * 2).await;
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v2"));
    assert_eq!(rows.stats().stale_served, 1);

    // After the window callers wait, and get the stale entry only if the load fails.
    advance(TTL * 2 + TTL / 2).await;
    database.fail(Some(io::ErrorKind::ConnectionRefused));
    let read = rows.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.freshness),
        (Some("v2"), Freshness::Stale)
    );
    assert_eq!(
        read.load_error.map(|error| error.kind()),
        Some(ErrorKind::Loader)
    );
    database.fail(None);
    database.put(1, "v3");
    assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("v3"));
}

#[tokio::test(start_paused = true)]
async fn refreshes_at_once_are_bounded_and_the_others_stay_due() {
    let store = MemoryStore::new(1_000);
    let database = slow_rows();
    let rows = hot(&store)
        .max_refreshes(8)
        .build(database.clone())
        .expect("a cache");
    let ids: Vec<u64> = (0..100).collect();
    rows.get_many(&ids).await.expect("get_many");
    advance(TTL * 17 / 20).await;
    let loads = database.loads();
    rows.get_many(&ids).await.expect("get_many");
    assert_eq!(rows.refreshing(), 8);
    for _ in 0..20 {
        yield_now().await;
    }
    assert_eq!(database.loads() - loads, 8);
    sleep(LOAD * 2).await;
    rows.get_many(&ids).await.expect("get_many");
    assert_eq!(rows.refreshing(), 8);
    rows.shutdown().await.expect("shutdown");
    assert_eq!((database.loads() - loads, rows.refreshing()), (16, 0));
}

#[tokio::test(start_paused = true)]
async fn misses_at_once_are_one_load() {
    let database = slow_rows();
    let rows = hot(&MemoryStore::new(100))
        .build(database.clone())
        .expect("a cache");
    let reads: Vec<_> = (0..100)
        .map(|_| {
            let rows = rows.clone();
            tokio::spawn(async move { rows.get(&1).await })
        })
        .collect();
    for read in reads {
        assert!(read.await.expect("a task").expect("get").is_some());
    }
    assert_eq!((database.loads(), rows.in_flight()), (1, 0));
}

#[test]
fn settings_that_can_t_work_don_t_build() {
    let settings: [Setting; 5] = [
        |builder| builder.refresh_at(1.5),
        |builder| builder.refresh_at(f64::NAN),
        |builder| builder.early(0.0),
        |builder| builder.early(f64::INFINITY),
        |builder| builder.max_refreshes(0),
    ];
    for setting in settings {
        let built = setting(hot(&MemoryStore::new(1))).build(slow_rows());
        assert_eq!(built.expect_err("a bad setting").kind(), ErrorKind::Config);
    }
}
