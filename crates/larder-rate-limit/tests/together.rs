//! Over Redis: concurrent checks of one identity are sent as one, and refusals are remembered until they can change.

use std::time::Duration;

use larder_memory::MemoryStore;
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

/// With a store in this process that does what it is told.
fn limiter(quota: Quota) -> (FaultStore, Limiter) {
    let store = FaultStore::new(MemoryStore::new(10));
    let limiter = RateLimiter::builder(store.clone(), "api")
        .quota(quota)
        .build()
        .expect("a limiter");
    (store, limiter)
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
    for &algorithm in Algorithm::ALL {
        let store = FaultStore::new(store.clone());
        let limiter: Limiter = RateLimiter::builder(store.clone(), &format!("{algorithm:?}"))
            .algorithm(algorithm)
            .quota(Quota::per_hour(10))
            .build()
            .expect("a limiter");
        let decisions = all_at_once(&store, algorithm, &limiter, 64).await;
        let sent = store.operations().len();
        // Two by themselves, and for the others together until one alone is refused.
        assert!(sent <= 8, "{sent} scripts for 64 checks with {algorithm:?}");
        let (admitted, refused): (Vec<_>, Vec<_>) =
            decisions.into_iter().partition(|decision| decision.allowed);
        // Each is told what was left after it, as if they had come one by one.
        let mut left: Vec<u64> = admitted.iter().map(|decision| decision.remaining).collect();
        left.sort_unstable();
        assert_eq!(left, (0..10).collect::<Vec<_>>(), "{algorithm:?}");
        if matches!(algorithm, Algorithm::Gcra | Algorithm::TokenBucket) {
            for decision in admitted {
                // A token takes six minutes, and what was spent a moment ago has nearly all of them before it.
                let most = Duration::from_secs(360) * (10 - decision.remaining) as u32;
                let passed = most.checked_sub(decision.reset_after);
                assert!(passed.is_some_and(|it| it < SOON), "{decision:?}");
            }
        }
        assert_eq!(refused.len(), 54);
        for decision in refused {
            assert!(decision.retry_after > RetryAfter::ZERO);
            assert_eq!((decision.remaining, &decision.violated[..]), (0, &[0][..]));
        }
        assert_eq!(limiter.stats().decided_together, 62);
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
    // One more goes by itself, and the rest together.
    let others = [ask(), ask(), ask(), ask()];
    timeout(SOON, async {
        while limiter.stats().decided_together < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("three that wait");
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

#[tokio::test(start_paused = true)]
async fn a_remembered_refusal_ages() {
    for &algorithm in Algorithm::ALL {
        let store = FaultStore::new(MemoryStore::new(10));
        let limiter: Limiter = RateLimiter::builder(store.clone(), "api")
            .algorithm(algorithm)
            .quota(Quota::per_second(1_000))
            .build()
            .expect("a limiter");
        let spent = limiter.check_n("a", 900).await.expect("a decision");
        assert!(spent.allowed);
        let refused = limiter.check_n("a", 500).await.expect("a decision");
        assert_eq!((refused.remaining, refused.allowed), (100, false));
        assert_eq!(refused.decided_by, DecidedBy::Store);
        drop(store.operations());
        // A window may turn soon.
        let wait = refused.retry_after.duration().expect("a time");
        let flowed = Duration::from_millis(wait.as_millis() as u64 / 2);
        tokio::time::sleep(flowed).await;
        let again = limiter.check_n("a", 500).await.expect("a decision");
        assert_eq!(store.operations(), [], "{algorithm:?}");
        assert_eq!(again.decided_by, DecidedBy::Memory);
        assert_eq!(again.reset_after, refused.reset_after - flowed);
        let peek = limiter.peek_n("a", 500).await.expect("a decision");
        assert_eq!(again.retry_after, peek.retry_after, "{algorithm:?}");
        if matches!(algorithm, Algorithm::Gcra | Algorithm::TokenBucket) {
            assert_eq!((again.remaining, peek.remaining), (300, 300));
        }
    }
}

/// The store may have given it back.
#[tokio::test]
async fn a_refund_or_a_reset_that_is_dropped_ends_what_is_remembered() {
    let (store, limiter) = limiter(Quota::per_hour(1));
    assert!(limiter.check("a").await.expect("a decision").allowed);
    let scripts = ["gcra", "reset"];
    for script in scripts {
        assert!(!limiter.check("a").await.expect("a decision").allowed);
        let remembered = limiter.check("a").await.expect("a decision");
        assert_eq!(remembered.decided_by, DecidedBy::Memory);
        store.inject(Operation::Update(script), Fault::Wait(Gate::new()));
        let given_up = match script {
            "gcra" => timeout(Duration::ZERO, limiter.refund("a", 1))
                .await
                .is_err(),
            _ => timeout(Duration::ZERO, limiter.reset("a")).await.is_err(),
        };
        assert!(given_up, "it waits at the gate");
        let asked = limiter.check("a").await.expect("a decision");
        assert_eq!(asked.decided_by, DecidedBy::Store);
    }
}

/// As in `select!`, or in a stream that is not asked for its next item.
#[tokio::test]
async fn requests_that_are_not_polled_keep_nobody_waiting() {
    let (store, limiter) = limiter(Quota::per_hour(10));
    let gate = Gate::new();
    let mut stopped = Vec::new();
    for _ in 0..2 {
        store.inject(Operation::Update("gcra"), Fault::Wait(gate.clone()));
        let mut check = Box::pin(limiter.check("a"));
        let polled = timeout(Duration::ZERO, &mut check).await;
        assert!(polled.is_err(), "it waits at the gate");
        stopped.push(check);
    }
    let third = timeout(SOON, limiter.check("a")).await.expect("in time");
    assert!(third.expect("a decision").allowed);
    assert_eq!(limiter.stats().decided_together, 1);
}

/// A runtime of one thread runs its tasks only while somebody blocks on it.
#[test]
fn nobody_waits_for_a_runtime_that_is_not_driven() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    let (ours, theirs) = (runtime(), runtime());
    let (store, limiter) = limiter(Quota::per_hour(10));
    let gate = Gate::new();
    for _ in 0..2 {
        store.inject(Operation::Update("gcra"), Fault::Wait(gate.clone()));
    }
    theirs.block_on(async {
        for _ in 0..3 {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.check("a").await });
        }
        while limiter.stats().decided_together == 0 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(store.operations().len(), 2, "the third one waits");
    let check = ours.block_on(async { timeout(SOON, limiter.check("a")).await });
    assert!(check.expect("in time").expect("a decision").allowed);
}

/// Two processes over one store: what one of them gives back the other one hears of after a second.
#[tokio::test(start_paused = true)]
async fn a_reset_by_another_process_is_heard_of_after_a_second() {
    let store = FaultStore::new(MemoryStore::new(10));
    let process = || -> Limiter {
        RateLimiter::builder(store.clone(), "api")
            .quota(Quota::per_hour(1))
            .build()
            .expect("a limiter")
    };
    let (ours, theirs) = (process(), process());
    assert!(ours.check("a").await.expect("a decision").allowed);
    assert!(!ours.check("a").await.expect("a decision").allowed);
    theirs.reset("a").await.expect("a reset");
    tokio::time::sleep(Duration::from_millis(999)).await;
    assert!(!ours.check("a").await.expect("a decision").allowed);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(ours.check("a").await.expect("a decision").allowed);
}

/// On an executor that is not tokio's nobody can take others along.
#[test]
fn without_a_runtime_each_goes_by_itself() {
    use std::{pin::pin, task};
    for leased in [false, true] {
        let store = FaultStore::new(MemoryStore::new(10));
        let builder = RateLimiter::<str>::builder(store.clone(), "api");
        let mut builder = builder.quota(Quota::per_hour(100));
        if leased {
            builder = builder.leased(Duration::from_secs(60));
        }
        let limiter = builder.build().expect("a limiter");
        let mut context = task::Context::from_waker(task::Waker::noop());
        for left in (90..100).rev() {
            let check = pin!(limiter.check("a"));
            let task::Poll::Ready(decision) = check.poll(&mut context) else {
                panic!("it waits, leased: {leased}");
            };
            assert_eq!(decision.expect("a decision").remaining, left);
        }
        assert_eq!(limiter.stats().decided_together, 0);
    }
}
