//! Over Redis: concurrent checks of one identity are sent as one, and refusals are remembered until they can change.

use std::time::Duration;

use larder_rate_limit::{Algorithm, DecidedBy, Decision, Quota, RateLimiter, RetryAfter};
use larder_redis::RedisStore;
use larder_testing::{Fault, FaultStore, Gate, Operation, RedisServer};
use tokio::time::timeout;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(10);

type Limiter = RateLimiter<str>;

async fn server() -> (RedisServer, RedisStore) {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    (server, store)
}

/// Asks so many times at once, while the first request waits at the gate.
async fn all_at_once(
    store: &FaultStore,
    algorithm: Algorithm,
    limiter: &Limiter,
    requests: usize,
) -> Vec<Decision> {
    let gate = Gate::new();
    let script = match algorithm {
        Algorithm::Gcra => "gcra",
        Algorithm::TokenBucket => "token bucket",
        Algorithm::SlidingCounter => "sliding window counter",
        Algorithm::SlidingLog => "sliding window log",
        _ => "fixed window",
    };
    store.inject(Operation::Update(script), Fault::Wait(gate.clone()));
    let checks: Vec<_> = (0..requests)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.check("a").await })
        })
        .collect();
    timeout(SOON, gate.reached()).await.expect("the first");
    // The others are queued behind the first by now, or go with those who are.
    tokio::task::yield_now().await;
    gate.open();
    let mut decisions = Vec::new();
    for check in checks {
        decisions.push(check.await.expect("a task").expect("a decision"));
    }
    decisions
}

#[tokio::test]
async fn checks_at_once_are_few_scripts_and_admit_exactly_the_limit() {
    let (_server, store) = server().await;
    for algorithm in Algorithm::ALL {
        let store = FaultStore::new(store.clone());
        let limiter: Limiter = RateLimiter::builder(store.clone(), &format!("{algorithm:?}"))
            .algorithm(algorithm)
            .quota(Quota::per_hour(10))
            .build()
            .expect("a limiter");
        let decisions = all_at_once(&store, algorithm, &limiter, 64).await;
        let sent = store.operations().len();
        assert!(sent <= 6, "{sent} scripts for 64 checks with {algorithm:?}");
        let (admitted, refused): (Vec<_>, Vec<_>) =
            decisions.into_iter().partition(|decision| decision.allowed);
        // Each is told what was left after it, as if they had come one by one.
        let mut left: Vec<u64> = admitted.iter().map(|decision| decision.remaining).collect();
        left.sort_unstable();
        assert_eq!(left, (0..10).collect::<Vec<_>>(), "{algorithm:?}");
        assert_eq!(refused.len(), 54);
        for decision in refused {
            assert!(decision.retry_after > RetryAfter::ZERO);
            assert_eq!((decision.remaining, &decision.violated[..]), (0, &[0][..]));
        }
        assert_eq!(limiter.stats().decided_together, 63);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nobody_along() {
    let (_server, store) = server().await;
    let store = FaultStore::new(store);
    let limiter: Limiter = RateLimiter::builder(store.clone(), "api")
        .quota(Quota::per_hour(100))
        .build()
        .expect("a limiter");
    let gate = Gate::new();
    store.inject(Operation::Update("gcra"), Fault::Wait(gate.clone()));
    let ask = || {
        let limiter = limiter.clone();
        tokio::spawn(async move { limiter.check("a").await })
    };
    let first = ask();
    timeout(SOON, gate.reached()).await.expect("the first");
    let others = [ask(), ask(), ask()];
    while limiter.stats().decided_together < 3 {
        tokio::task::yield_now().await;
    }
    first.abort();
    for other in others {
        let decision = other.await.expect("a task").expect("a decision");
        assert!(decision.allowed);
        assert_eq!(decision.decided_by, DecidedBy::Store);
    }
}

#[tokio::test]
async fn without_the_store_everybody_is_decided_by_the_policy() {
    let (server, store) = server().await;
    let limiter: Limiter = RateLimiter::builder(store, "api")
        .quota(Quota::per_hour(8))
        .fail_local(0.5)
        .build()
        .expect("a limiter");
    assert!(limiter.check("a").await.expect("a decision").allowed);
    server.kill().await.expect("kill");
    let checks: Vec<_> = (0..64)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.check("a").await })
        })
        .collect();
    let mut admitted = 0;
    for check in checks {
        let decision = check.await.expect("a task").expect("a decision");
        assert_eq!(decision.decided_by, DecidedBy::Local);
        admitted += u64::from(decision.allowed);
    }
    assert_eq!(admitted, 4);
}

#[tokio::test]
async fn a_refusal_is_remembered_until_it_can_change() {
    let (server, store) = server().await;
    let limiter: Limiter = RateLimiter::builder(store, "api")
        .quota(Quota::new(2, Duration::from_secs(2)))
        .build()
        .expect("a limiter");
    for _ in 0..2 {
        assert!(limiter.check("a").await.expect("a decision").allowed);
    }
    let refused = limiter.check("a").await.expect("a decision");
    let RetryAfter::After(mut wait) = refused.retry_after else {
        panic!("{refused:?}");
    };
    let mut watch = server.watch().await.expect("watch");
    for _ in 0..100 {
        let again = limiter.check("a").await.expect("a decision");
        assert!(!again.allowed);
        let later = again.retry_after.duration().expect("a time");
        assert!(later <= wait, "{later:?} after {wait:?}");
        wait = later;
    }
    assert_eq!(watch.commands().await.expect("commands"), [""; 0]);
    assert_eq!(limiter.stats().denied_by_memory, 100);
    // Another identity, another cost and another quota are other questions.
    assert!(limiter.check("b").await.expect("a decision").allowed);
    let two = limiter.check_n("a", 2).await.expect("a decision");
    assert!(!two.allowed);
    let larger = limiter
        .with_quotas([Quota::per_second(50)])
        .expect("quotas");
    assert!(larger.check("c").await.expect("a decision").allowed);
    assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"; 3]);
    tokio::time::sleep(wait).await;
    assert!(limiter.check("a").await.expect("a decision").allowed);
}

#[tokio::test]
async fn a_refund_or_a_reset_ends_what_is_remembered() {
    let (_server, store) = server().await;
    let limiter: Limiter = RateLimiter::builder(store, "api")
        .quota(Quota::per_hour(1))
        .build()
        .expect("a limiter");
    for round in 0..2 {
        assert!(limiter.check("a").await.expect("a decision").allowed);
        assert!(!limiter.check("a").await.expect("a decision").allowed);
        assert!(!limiter.check("a").await.expect("a decision").allowed);
        match round {
            0 => drop(limiter.refund("a", 1).await.expect("a refund")),
            _ => limiter.reset("a").await.expect("a reset"),
        }
    }
    assert!(limiter.check("a").await.expect("a decision").allowed);
}
