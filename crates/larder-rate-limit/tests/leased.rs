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
use larder_testing::{Fault, FaultStore, Gate, Operation, RedisServer};
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
    for &algorithm in Algorithm::ALL {
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
    for lifetime in [Duration::ZERO, Duration::from_secs(86_401), Duration::MAX] {
        let never = RateLimiter::<str>::builder(MemoryStore::new(10), "api")
            .quota(Quota::per_second(10))
            .leased(lifetime)
            .build();
        let error = never.expect_err("no time, or too long");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

/// Many tasks of one process find a block used up at once, and only one of them takes the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_in_one_process_loses_hardly_anything() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::builder(&server.url()).expect("a URL");
    let store = store.deadline(Duration::from_secs(5)).connect().await;
    let quota = Quota::per_hour(60_000);
    let limiter = RateLimiter::<str>::builder(store.expect("a store"), "api")
        .quota(quota.clone())
        .leased(Duration::from_secs(60))
        .build()
        .expect("a limiter");
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut admitted = 0;
                while limiter.check("a").await.expect("a decision").allowed {
                    admitted += 1;
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.expect("a task");
    }
    // Some come back meanwhile; what is lost is a last block that does not fit.
    assert!(admitted * 100 >= quota.limit() * 99, "{admitted} admitted");
}

/// What an identity has spent by the store, beyond what was admitted.
async fn lost(limiter: &Limiter, id: &str, admitted: u64) -> u64 {
    let peek = limiter.peek(id).await.expect("a decision");
    peek.limit - peek.remaining - admitted
}

fn slow(burst: u64) -> (FaultStore, Limiter) {
    let store = FaultStore::new(MemoryStore::new(100_000));
    let limiter = RateLimiter::builder(store.clone(), "api")
        .quota(Quota::per_day(1).burst(burst))
        .leased(Duration::from_secs(60))
        .build()
        .expect("a limiter");
    (store, limiter)
}

#[tokio::test(start_paused = true)]
async fn many_identities_drain_nobody() {
    let (_, limiter) = slow(100);
    // More than are known at once.
    for id in 0..40_000 {
        assert!(
            limiter
                .check(&id.to_string())
                .await
                .expect("a decision")
                .allowed
        );
    }
    for id in ["0", "20000", "39999", "new"] {
        let mut admitted = u64::from(id != "new");
        for _ in 0..60 {
            assert!(limiter.check(id).await.expect("a decision").allowed, "{id}");
            admitted += 1;
            assert!(lost(&limiter, id, admitted).await <= 10, "{id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_for_each_request_drains_nobody() {
    let (_, limiter) = slow(1_000);
    for admitted in 1..=100 {
        let handle = limiter.with_quotas(limiter.quotas().to_vec());
        let decision = handle.expect("a handle").check("a").await;
        assert!(decision.expect("a decision").allowed);
        assert_eq!(lost(&limiter, "a", admitted).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn costs_that_don_t_fit_leave_the_block_alone() {
    let (_, limiter) = slow(1_000);
    let mut admitted = 0;
    for round in 0..40 {
        let cost = [1, 10, 1, 70][round % 4];
        if limiter
            .check_n("a", cost)
            .await
            .expect("a decision")
            .allowed
        {
            admitted += cost;
        }
        let lost = lost(&limiter, "a", admitted).await;
        // A block is under way, and of those before it an eighth at the most was left.
        assert!(lost <= 100 + admitted / 8, "{lost} lost after {admitted}");
    }
    assert_eq!(admitted, 820, "all of it");
}

/// Blocks are whole numbers of the cost.
#[tokio::test(start_paused = true)]
async fn costs_above_one_are_leased_too() {
    for cost in [2, 3, 7] {
        let (store, limiter) = slow(1_050);
        let mut admitted = 0;
        while limiter
            .check_n("a", cost)
            .await
            .expect("a decision")
            .allowed
        {
            admitted += cost;
        }
        assert!(admitted > 1_050 - cost, "{admitted} in costs of {cost}");
        let commands = store.operations().len();
        assert!(commands <= 25, "{commands} commands for costs of {cost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_is_waited_for_no_longer_than_a_second() {
    let store = FaultStore::new(MemoryStore::new(10));
    let limiter = RateLimiter::<str>::builder(store, "api")
        .quota(Quota::per_second(10).burst(1_000))
        .leased(Duration::from_secs(60))
        .build()
        .expect("a limiter");
    while limiter.check("a").await.expect("a decision").allowed {}
    for _ in 0..20 {
        let refused = limiter.check("a").await.expect("a decision");
        let wait = refused.retry_after.duration().expect("a time");
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        let waited = limiter.until_ready("a", Duration::from_secs(1)).await;
        assert!(waited.expect("in time").allowed);
        while limiter.check("a").await.expect("a decision").allowed {}
    }
}

#[tokio::test]
async fn a_refund_leaves_a_block_that_is_on_its_way() {
    let (store, limiter) = slow(1_000);
    assert!(limiter.check("a").await.expect("a decision").allowed);
    let gate = Gate::new();
    store.inject(Operation::Update("gcra"), Fault::Wait(gate.clone()));
    let taking = limiter.clone();
    let taking = tokio::spawn(async move { taking.check("a").await });
    gate.reached().await;
    let _ = limiter.refund("a", 1).await.expect("a refund");
    gate.open();
    let taken = taking.await.expect("a task").expect("a decision");
    assert_eq!(taken.decided_by, DecidedBy::Store);
    let next = limiter.check("a").await.expect("a decision");
    assert_eq!(next.decided_by, DecidedBy::Lease);
}

/// The quota is used up all the time: blocks are then as large as what flows back, and not single tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_takes_few_commands_too() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::builder(&server.url()).expect("a URL");
    let store = store.deadline(Duration::from_secs(5)).connect().await;
    let limiter = RateLimiter::<str>::builder(store.expect("a store"), "api")
        .quota(Quota::per_second(10_000).burst(2_000))
        .leased(Duration::from_millis(500))
        .build()
        .expect("a limiter");
    let mut watch = server.watch().await.expect("watch");
    let started = std::time::Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut admitted = 0_u64;
                while started.elapsed() < Duration::from_secs(2) {
                    let decision = limiter.check("a").await.expect("a decision");
                    admitted += u64::from(decision.allowed);
                    if !decision.allowed {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.expect("a task");
    }
    let most = 2_000 + 10 * (started.elapsed() + Duration::from_millis(500)).as_millis() as u64;
    let commands = watch.commands().await.expect("commands").len() as u64;
    println!(
        "{admitted} admitted of {most}, {commands} commands {:?}",
        limiter.stats()
    );
    assert!(
        commands * 20 <= admitted,
        "{commands} commands for {admitted}"
    );
    assert!(
        (most * 7 / 10..=most).contains(&admitted),
        "{admitted} of {most}"
    );
}
