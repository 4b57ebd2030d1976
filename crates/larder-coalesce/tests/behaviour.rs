//! What coalescing adds to what every read pattern does.

mod common;

use std::{
    io,
    time::{Duration, Instant},
};

use common::{Database, address, builder, cache};
use futures_util::future::join_all;
use larder_coalesce::{ErrorKind, Overload, Source, StoreErrorKind};
use larder_memory::MemoryStore;
use larder_redis::RedisStore;
use larder_store::Store;
use larder_testing::{FaultStore, RedisServer};
use tokio::{task::yield_now, time::sleep};

const LOAD: Duration = Duration::from_millis(50);

fn slow_rows(count: u64) -> Database {
    let database = Database::with((0..count).map(|id| (id, "row")));
    database.delay(LOAD);
    database
}

#[tokio::test(start_paused = true)]
async fn misses_at_once_are_one_load() {
    let database = slow_rows(10);
    let rows = cache(MemoryStore::new(100), &database);
    let reads = join_all((0..1_000).map(|_| rows.fetch(&1))).await;
    let sources: Vec<_> = reads
        .into_iter()
        .map(|read| read.expect("fetch").source)
        .collect();
    let loaders = sources
        .iter()
        .filter(|source| **source == Source::Loader)
        .count();
    assert_eq!((database.loads(), loaders), (1, 1));
    assert!(
        sources
            .iter()
            .all(|source| matches!(source, Source::Loader | Source::Coalesced))
    );
    let stats = rows.stats();
    assert_eq!(
        (stats.misses, stats.loads, stats.coalesced),
        (1_000, 1, 999)
    );
    assert_eq!(rows.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_everybody_s_and_the_next_read_loads_again() {
    let database = slow_rows(10);
    let rows = cache(MemoryStore::new(100), &database);
    database.fail(Some(io::ErrorKind::BrokenPipe));
    for read in join_all((0..100).map(|_| rows.get(&1))).await {
        let error = read.expect_err("a failed load");
        let source = error.loader_error::<io::Error>().expect("its source");
        assert_eq!(source.kind(), io::ErrorKind::BrokenPipe);
    }
    assert_eq!(database.loads(), 1);
    database.fail(None);
    assert!(rows.get(&1).await.expect("get").is_some());
}

#[tokio::test]
async fn a_panic_is_an_error_to_those_who_follow() {
    let database = slow_rows(10);
    let rows = cache(MemoryStore::new(100), &database);
    database.panic(true);
    let reads: Vec<_> = (0..20)
        .map(|_| {
            let rows = rows.clone();
            tokio::spawn(async move { rows.get(&1).await })
        })
        .collect();
    let mut panics = 0;
    for read in reads {
        match read.await {
            Ok(read) => assert_eq!(read.expect_err("a panic").kind(), ErrorKind::Loader),
            Err(error) => panics += u32::from(error.is_panic()),
        }
    }
    assert_eq!((panics, database.loads()), (1, 1));
    database.panic(false);
    assert!(rows.get(&1).await.expect("get").is_some());
    assert_eq!(rows.in_flight(), 0);
}

#[tokio::test]
async fn a_leader_that_goes_away_finishes_for_the_others() {
    let database = slow_rows(10);
    let store = MemoryStore::new(100);
    let rows = cache(store.clone(), &database);
    let gate = database.hold_next_load();
    let leader = tokio::spawn({
        let rows = rows.clone();
        async move { rows.get(&1).await }
    });
    gate.reached().await;
    let follower = tokio::spawn({
        let rows = rows.clone();
        async move { rows.fetch(&1).await }
    });
    for _ in 0..10 {
        yield_now().await;
    }
    leader.abort();
    gate.open();
    let read = follower.await.expect("a task").expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.source),
        (Some("row"), Source::Coalesced)
    );
    assert_eq!(database.loads(), 1);
    rows.shutdown().await.expect("background");
    let record = store
        .get(&address(1))
        .await
        .expect("get")
        .expect("a record");
    assert_eq!(record[4], b'V');
    assert_eq!((rows.in_flight(), rows.tasks()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn overlapping_batches_load_each_key_once() {
    let database = slow_rows(100);
    let rows = cache(MemoryStore::new(1_000), &database);
    let batches: Vec<Vec<u64>> = (0..10)
        .map(|from| (from * 5..from * 5 + 20).collect())
        .collect();
    let single = rows.get(&7);
    let reads = join_all(batches.iter().map(|ids| rows.get_many(ids)));
    let (single, reads) = tokio::join!(single, reads);
    assert!(single.expect("get").is_some());
    for read in reads {
        assert!(read.expect("get_many").iter().all(Option::is_some));
    }
    assert_eq!(database.loads(), 65);
    assert_eq!(rows.in_flight(), 0);
}

/// Entries past their TTL are loaded again together with what is missing, and served as they are if that fails.
#[tokio::test(start_paused = true)]
async fn stale_entries_of_a_batch_are_in_its_one_load() {
    let database = slow_rows(100);
    let ttl = Duration::from_secs(10);
    let rows = builder(MemoryStore::new(1_000))
        .ttl(ttl)
        .grace(Duration::from_secs(60))
        .build(database.clone())
        .expect("a cache");
    let stale: Vec<u64> = (0..20).collect();
    rows.get_many(&stale).await.expect("get_many");
    sleep(ttl * 2).await;
    database.fail(Some(io::ErrorKind::ConnectionRefused));
    // With something missing besides, the batch is an error, and nothing was served.
    let mixed = rows.get_many(&[1, 2, 50]).await.expect_err("no row 50");
    assert_eq!(mixed.kind(), ErrorKind::Loader);
    assert_eq!(rows.stats().stale_served, 0);
    rows.shutdown().await.expect("shutdown");
    let (before, batches) = (database.loads(), database.batches());

    let served = rows.get_many(&stale).await.expect("the stale entries");
    assert!(served.iter().all(Option::is_some));
    assert_eq!(rows.stats().stale_served, 20);
    database.fail(None);
    // The claims are given back.
    rows.shutdown().await.expect("shutdown");

    let all: Vec<u64> = (0..30).collect();
    let read = rows.get_many(&all).await.expect("get_many");
    assert!(read.iter().all(Option::is_some));
    // Twenty that failed, then thirty; each time at once.
    assert_eq!(database.loads() - before, 50);
    assert_eq!(database.batches() - batches, 2);
    assert_eq!(rows.stats().refreshed, 20);
    rows.get_many(&all).await.expect("get_many");
    assert_eq!((database.batches() - batches, rows.in_flight()), (2, 0));
}

/// A key that is given twice is nobody else's wait.
#[tokio::test(start_paused = true)]
async fn a_dropped_batch_that_nobody_else_waits_for_is_dropped() {
    let database = slow_rows(10);
    let rows = cache(MemoryStore::new(100), &database);
    let batch = rows.get_many(&[1, 1, 2]);
    assert!(
        tokio::time::timeout(LOAD / 2, batch).await.is_err(),
        "it was loaded at once"
    );
    assert_eq!(rows.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn batches_without_the_store_don_t_wait_for_each_other_for_ever() {
    let database = slow_rows(100);
    let store = FaultStore::new(MemoryStore::new(100));
    let rows = cache(store.clone(), &database);
    store.down(Some(StoreErrorKind::Unavailable));
    let up: Vec<u64> = (0..50).collect();
    let down: Vec<u64> = (0..50).rev().collect();
    for _ in 0..3 {
        let reads = [rows.get_many(&up), rows.get_many(&down), rows.get_many(&up)];
        for read in tokio::time::timeout(Duration::from_secs(2), join_all(reads))
            .await
            .expect("an end")
        {
            assert!(read.expect("get_many").iter().all(Option::is_some));
        }
    }
    assert_eq!(rows.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn callers_over_the_limits_load_alone_or_are_refused() {
    for overload in [Overload::Bypass, Overload::Refuse] {
        let database = slow_rows(10);
        let rows = builder(MemoryStore::new(100))
            .max_followers(4)
            .max_keys(2)
            .overload(overload)
            .build(database.clone())
            .expect("a cache");
        let reads = join_all((0..10).map(|_| rows.get(&1))).await;
        let refused = reads.iter().filter(|read| read.is_err()).count();
        match overload {
            Overload::Bypass => assert_eq!((refused, database.loads()), (0, 6)),
            _ => assert_eq!((refused, database.loads()), (5, 1)),
        }
        for error in reads.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::Overloaded);
            assert!(error.is_transient());
        }
        assert_eq!(rows.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_another_process_ends_and_is_one_load_here() {
    let elsewhere = slow_rows(10);
    elsewhere.delay(Duration::from_secs(9));
    let database = slow_rows(10);
    let store = MemoryStore::new(100);
    let there = cache(store.clone(), &elsewhere);
    let rows = builder(store)
        .wait_timeout(Duration::from_secs(1))
        .build(database.clone())
        .expect("a cache");
    let slow = tokio::spawn(async move { there.get(&1).await });
    sleep(LOAD).await;
    let started = tokio::time::Instant::now();
    let reads = join_all((0..100).map(|_| rows.fetch(&1))).await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    for read in reads {
        let read = read.expect("fetch");
        assert_eq!(read.value.as_deref(), Some("row"));
        assert_eq!(
            read.store_error.map(|error| error.kind()),
            Some(ErrorKind::WaitTimeout)
        );
    }
    assert_eq!(database.loads(), 1);
    assert!(slow.await.expect("a task").expect("get").is_some());
    assert_eq!(rows.in_flight(), 0);
}

#[tokio::test]
async fn with_redis_down_or_hung_there_is_one_load_for_each_key() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = slow_rows(10);
    let rows = cache(store, &database);
    rows.get(&9).await.expect("get");
    for (hung, first) in [(true, 0), (false, 4)] {
        if hung {
            server.pause().expect("pause");
        } else {
            server.kill().await.expect("kill");
        }
        let loads = database.loads();
        let started = Instant::now();
        let reads: Vec<_> = (0..1_000)
            .map(|number| {
                let rows = rows.clone();
                tokio::spawn(async move { rows.get(&(first + number % 4)).await })
            })
            .collect();
        for read in reads {
            assert!(read.await.expect("a task").expect("get").is_some());
        }
        println!("hung: {hung}: {:?}", started.elapsed());
        assert_eq!(database.loads() - loads, 4, "hung: {hung}");
        assert_eq!(rows.in_flight(), 0);
        if hung {
            server.resume().expect("resume");
        }
    }
}
