//! Leased quota: within its stated bound, close to the quota, and few commands.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use larder_memory::MemoryStore;
use larder_rate_limit::{Algorithm, DecidedBy, ErrorKind, Quota, RateLimiter};
use larder_redis::RedisStore;
use larder_store::Store;
use larder_testing::{FaultStore, RedisServer};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};

const LIFETIME: Duration = Duration::from_millis(100);
const RATE: u64 = 1_000;
const BURST: u64 = 200;

type Limiter = RateLimiter<str>;

fn limiter(store: impl Into<Arc<dyn Store>>, quota: Quota) -> Limiter {
    RateLimiter::builder(store, "api")
        .quota(quota)
        .leased(LIFETIME)
        .fail_closed()
        .build()
        .expect("a limiter")
}

/// `burst + rate * (window + lifetime)`
fn most(window: Duration) -> u64 {
    let time = (window + LIFETIME).as_micros() as u64;
    BURST + (RATE * time).div_ceil(1_000_000)
}

/// Four processes that ask at random, in virtual time: now hardly, now far too often.
#[tokio::test(start_paused = true)]
async fn no_window_sees_more_than_the_bound() {
    for seed in 0..8 {
        let mut random = StdRng::seed_from_u64(seed);
        // What may fail counts as remote.
        let store = FaultStore::new(MemoryStore::new(1_000));
        let quota = Quota::per_second(RATE).burst(BURST);
        let processes: Vec<_> = (0..4)
            .map(|_| limiter(store.clone(), quota.clone()))
            .collect();
        let started = Instant::now();
        let mut admitted: Vec<Duration> = Vec::new();
        let mut pause_us = 100;
        for request in 0..20_000 {
            if request % 500 == 0 {
                pause_us = [50, 100, 1_000, 5_000][random.random_range(0..4)];
            }
            let process = &processes[random.random_range(0..4)];
            let cost = random.random_range(1..=3);
            let decision = process.check_n("a", cost).await.expect("a decision");
            if decision.allowed {
                admitted.extend(std::iter::repeat_n(started.elapsed(), cost as usize));
            }
            sleep(Duration::from_micros(random.random_range(0..pause_us))).await;
        }
        // The densest window of each number of tokens.
        for count in [1, 50, 200, 500, 1_000, 5_000] {
            for window in admitted.windows(count) {
                let time = window[count - 1] - window[0];
                assert!(
                    count as u64 <= most(time),
                    "{count} in {time:?}, seed {seed}"
                );
            }
        }
        let leased: u64 = processes.iter().map(|it| it.stats().decided_by_lease).sum();
        assert!(leased > 1_000, "{leased} out of blocks, seed {seed}");
    }
}

/// Eight instances with connections of their own hammer one identity.
#[tokio::test(flavor = "multi_thread")]
async fn eight_instances_admit_about_the_quota_with_few_commands() {
    let server = RedisServer::start().await.expect("a server");
    let quota = Quota::per_second(RATE).burst(BURST);
    let stop = Arc::new(AtomicBool::new(false));
    let admitted = Arc::new(AtomicU64::new(0));
    let mut instances = Vec::new();
    for _ in 0..8 {
        let store = RedisStore::builder(&server.url())
            .expect("a URL")
            .deadline(Duration::from_secs(5))
            .connect()
            .await
            .expect("a store");
        instances.push(limiter(store, quota.clone()));
    }
    let started = std::time::Instant::now();
    let tasks: Vec<_> = instances
        .iter()
        .flat_map(|limiter| (0..4).map(move |_| limiter.clone()))
        .map(|limiter| {
            let (stop, admitted) = (Arc::clone(&stop), Arc::clone(&admitted));
            tokio::spawn(async move {
                while !stop.load(SeqCst) {
                    if limiter.check("a").await.expect("a decision").allowed {
                        admitted.fetch_add(1, SeqCst);
                    } else {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(2)).await;
    stop.store(true, SeqCst);
    for task in tasks {
        task.await.expect("a task");
    }
    let took = started.elapsed();
    let admitted = admitted.load(SeqCst);
    let most = most(took);
    println!("{admitted} admitted in {took:?}, {most} at the most");
    assert!(admitted <= most, "{admitted} of {most}");
    // Each of eight may lose a block of 20 in 100 ms, of 100 that come; they lose far less.
    assert!(admitted * 2 >= most, "{admitted} of {most}");
}

#[tokio::test]
async fn most_decisions_take_no_command() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let limiter: Limiter = RateLimiter::builder(store, "api")
        .quota(Quota::per_hour(1_000_000))
        .leased(Duration::from_secs(60))
        .build()
        .expect("a limiter");
    let mut watch = server.watch().await.expect("watch");
    let mut remaining = 1_000_000;
    for _ in 0..100_000 {
        let decision = limiter.check("a").await.expect("a decision");
        assert!(decision.allowed);
        remaining -= 1;
        // A moment gives some back meanwhile.
        assert!(decision.remaining >= remaining, "{decision:?}");
    }
    let commands = watch.commands().await.expect("commands");
    assert!(commands.len() <= 18, "{} commands", commands.len());
    let last = limiter.check("a").await.expect("a decision");
    assert_eq!(last.decided_by, DecidedBy::Lease);
    limiter.reset("a").await.expect("reset");
    let fresh = limiter.check("a").await.expect("a decision");
    assert_eq!(
        (fresh.decided_by, fresh.remaining),
        (DecidedBy::Store, 999_999)
    );
}

#[test]
fn only_tokens_can_be_leased() {
    for algorithm in Algorithm::ALL {
        let leased = RateLimiter::<str>::builder(MemoryStore::new(10), "api")
            .algorithm(algorithm)
            .quota(Quota::per_second(10))
            .leased(LIFETIME)
            .build();
        match algorithm {
            Algorithm::Gcra | Algorithm::TokenBucket => drop(leased.expect("a limiter")),
            _ => assert_eq!(leased.expect_err("a window").kind(), ErrorKind::Config),
        }
    }
    let never = RateLimiter::<str>::builder(MemoryStore::new(10), "api")
        .quota(Quota::per_second(10))
        .leased(Duration::ZERO)
        .build();
    assert_eq!(never.expect_err("no time").kind(), ErrorKind::Config);
}
