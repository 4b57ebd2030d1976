//! The store is down.

use std::time::Duration;

use larder_memory::MemoryStore;
use larder_rate_limit::{
    Algorithm, DecidedBy, ErrorKind, Quota, RateLimiter, RateLimiterBuilder, RetryAfter,
    StoreErrorKind,
};
use larder_redis::RedisStore;
use larder_testing::{Fault, FaultStore, Operation, RedisServer};

const DOWN: [StoreErrorKind; 4] = [
    StoreErrorKind::Unavailable,
    StoreErrorKind::Timeout,
    StoreErrorKind::OutOfMemory,
    StoreErrorKind::ReadOnly,
];

fn rig() -> (FaultStore, RateLimiterBuilder<str>) {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let builder = RateLimiter::builder(store.clone(), "down").quota(Quota::per_hour(8));
    (store, builder)
}

#[tokio::test]
async fn open_admits_and_says_so() {
    let (store, builder) = rig();
    let limiter = builder.build().expect("a limiter");
    for kind in DOWN {
        store.down(Some(kind));
        let decision = limiter.check_n("id", 8).await.expect("a decision");
        assert!(decision.allowed);
        assert_eq!(decision.decided_by, DecidedBy::FailOpen);
        let error = decision.store_error.as_ref().expect("why");
        assert_eq!(error.kind(), ErrorKind::Store(kind));
        assert!(error.is_transient());
        assert!(decision.limits().len() == 0, "nothing is known");
        assert_eq!(decision.retry_after, RetryAfter::ZERO);
    }
    let stats = limiter.stats();
    assert_eq!((stats.store_errors, stats.failed_open), (4, 4));
    assert_eq!((stats.allowed, stats.denied), (4, 0));
    store.down(None);
    let decision = limiter.check("id").await.expect("a decision");
    assert_eq!(decision.decided_by, DecidedBy::Store);
    assert_eq!(decision.remaining, 7, "nothing was spent meanwhile");
    assert!(decision.store_error.is_none());
}

#[tokio::test]
async fn closed_returns_the_error() {
    let (store, builder) = rig();
    let limiter = builder.fail_closed().build().expect("a limiter");
    for kind in DOWN {
        store.down(Some(kind));
        let error = limiter.check("id").await.expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Store(kind));
        let waited = limiter.until_ready("id", Duration::from_secs(60)).await;
        assert_eq!(waited.expect_err("closed").kind(), ErrorKind::Store(kind));
    }
    let stats = limiter.stats();
    assert_eq!((stats.store_errors, stats.failed_closed), (8, 8));
    assert_eq!((stats.allowed, stats.denied), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn local_limits_to_its_share() {
    for &algorithm in Algorithm::ALL {
        let (store, builder) = rig();
        let builder = builder.algorithm(algorithm).and(Quota::per_day(1_000));
        let limiter = builder.fail_local(0.25).build().expect("a limiter");
        assert!(limiter.check_n("id", 8).await.expect("a decision").allowed);
        store.down(Some(StoreErrorKind::Unavailable));
        for left in [1, 0] {
            let decision = limiter.check("id").await.expect("a decision");
            assert!(decision.allowed, "{algorithm:?}: {decision:?}");
            assert_eq!((decision.limit, decision.remaining), (2, left));
            assert_eq!(decision.decided_by, DecidedBy::Local);
            assert!(decision.store_error.is_some());
        }
        let decision = limiter.check("id").await.expect("a decision");
        assert_eq!(
            (decision.allowed, &decision.violated[..]),
            (false, &[0][..])
        );
        assert!(limiter.check("other").await.expect("a decision").allowed);
        assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 0);
        tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
        assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 2);
        let stats = limiter.stats();
        assert_eq!(
            (stats.decided_locally, stats.denied),
            (4, 1),
            "{algorithm:?}"
        );
        store.down(None);
        let back = limiter.check("id").await.expect("a decision");
        assert_eq!(back.decided_by, DecidedBy::Store);
    }
}

#[tokio::test]
async fn a_local_share_is_at_least_one_and_can_always_be_counted() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let limiter = RateLimiter::<str>::builder(store.clone(), "shares")
        .quota(Quota::per_day(1_000_000))
        .and(Quota::per_hour(2).burst(3))
        .fail_local(0.123_457)
        .build()
        .expect("a limiter");
    store.down(Some(StoreErrorKind::Timeout));
    let decision = limiter.check("id").await.expect("a decision");
    let [large, small] = decision.limits().collect::<Vec<_>>()[..] else {
        panic!("two limits");
    };
    assert!((100_000..=123_457).contains(&large.limit), "{large:?}");
    assert_eq!((small.limit, decision.quotas()[1].limit()), (1, 1));
    let tenant = limiter
        .with_quotas([Quota::per_hour(1_000)])
        .expect("a handle");
    let decision = tenant.check("tenant").await.expect("a decision");
    assert_eq!((decision.limit, decision.remaining), (123, 122));
}

/// A crowd of identities does not fill the memory: the oldest are forgotten.
#[tokio::test]
async fn local_identities_are_bounded() {
    let (store, builder) = rig();
    let limiter = builder.fail_local(0.125).build().expect("a limiter");
    store.down(Some(StoreErrorKind::Unavailable));
    assert!(limiter.check("first").await.expect("a decision").allowed);
    assert!(!limiter.check("first").await.expect("a decision").allowed);
    for id in 0..100_000 {
        let _ = limiter.check(&id.to_string()).await.expect("a decision");
    }
    assert!(limiter.check("first").await.expect("a decision").allowed);
    assert!(!limiter.check("99999").await.expect("a decision").allowed);
}

#[tokio::test]
async fn a_decision_whose_reply_was_lost_is_not_sent_twice() {
    let (store, builder) = rig();
    let limiter = builder.fail_closed().build().expect("a limiter");
    for fault in [Fault::DropReply, Fault::Late] {
        let _ = store.operations();
        store.inject(Operation::Update("gcra"), fault);
        let error = limiter.check("id").await.expect_err("a lost reply");
        assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Timeout));
        assert_eq!(store.operations(), [Operation::Update("gcra")]);
        store.deliver_late().await;
    }
    // Both were spent, once each.
    assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 6);
}

#[tokio::test]
async fn a_batch_follows_the_policy_too() {
    let (store, builder) = rig();
    let open = builder.build().expect("a limiter");
    store.down(Some(StoreErrorKind::Unavailable));
    let long = "x".repeat(2_000);
    let decisions = open.check_many(&[("a", 1), (&long, 1), ("b", 1)]).await;
    assert!(decisions[0].as_ref().expect("a decision").allowed);
    let error = decisions[1].as_ref().expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::IdentityTooLong);
    assert!(decisions[2].as_ref().expect("a decision").allowed);
    assert_eq!(store.operations().len(), 1);
    assert_eq!(
        (open.stats().failed_open, open.stats().store_errors),
        (2, 2)
    );
}

/// Or a long name would be the way around a limiter that fails open.
#[tokio::test]
async fn an_identity_that_is_too_long_is_not_a_failure_of_the_store() {
    let (_, builder) = rig();
    let limiter = builder.fail_open().build().expect("a limiter");
    let error = limiter
        .check(&"x".repeat(2_000))
        .await
        .expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::IdentityTooLong);
    assert_eq!(limiter.stats().store_errors, 0);
}

#[tokio::test]
async fn a_part_is_rounded_as_little_as_it_can_be() {
    let cases = [
        (Quota::per_hour(100), 0.29, 29),
        (Quota::per_hour(100), 1.0, 100),
        (Quota::per_hour(3), 1.0 / 3.0, 1),
        (Quota::per_hour(3), 0.1, 1),
        (Quota::per_day(1_000_000).burst(100_000), 0.999_983, 99_998),
    ];
    for (quota, part, burst) in cases {
        let store = FaultStore::new(MemoryStore::new(10));
        let builder = RateLimiter::<str>::builder(store.clone(), "down").quota(quota.clone());
        let limiter = builder.fail_local(part).build().expect("a limiter");
        store.down(Some(StoreErrorKind::Unavailable));
        let decision = limiter.peek("id").await.expect("a decision");
        assert_eq!(decision.limit, burst, "{part} of {quota:?}");
    }
}

#[tokio::test]
async fn a_cost_over_the_capacity_is_refused_whatever_the_policy_is() {
    let policies = [
        RateLimiterBuilder::fail_open,
        RateLimiterBuilder::fail_closed,
        |builder| RateLimiterBuilder::fail_local(builder, 0.5),
    ];
    for policy in policies {
        let (store, builder) = rig();
        let builder = policy(builder.and(Quota::per_day(1_000)));
        let limiter = builder.build().expect("a limiter");
        store.down(Some(StoreErrorKind::Unavailable));
        let decision = limiter.check_n("id", 9).await.expect("a decision");
        assert!(!decision.allowed);
        assert_eq!(decision.retry_after, RetryAfter::Never);
        assert_eq!(decision.violated, [0]);
        assert_eq!(decision.decided_by, DecidedBy::Capacity);
        assert!(decision.store_error.is_some());
        let waited = limiter
            .until_ready_n("id", 9, Duration::from_secs(60))
            .await;
        assert_eq!(waited.expect_err("never").kind(), ErrorKind::NeverAdmitted);
        let stats = limiter.stats();
        assert_eq!(
            (stats.denied, stats.failed_open, stats.failed_closed),
            (2, 0, 0)
        );
    }
}

#[tokio::test]
async fn the_policy_is_for_failures_that_stay_too_and_they_are_counted_apart() {
    let (store, builder) = rig();
    let limiter = builder.build().expect("a limiter");
    let permanent = [
        StoreErrorKind::Auth,
        StoreErrorKind::Server,
        StoreErrorKind::Protocol,
        StoreErrorKind::Shutdown,
        StoreErrorKind::Config,
    ];
    for kind in permanent {
        store.down(Some(kind));
        let decision = limiter.check("id").await.expect("a decision");
        assert!(decision.allowed);
        let error = decision.store_error.as_ref().expect("why");
        assert_eq!(error.kind(), ErrorKind::Store(kind));
        assert!(!error.to_string().contains("name"), "{error}");
    }
    store.down(Some(StoreErrorKind::Unavailable));
    assert!(limiter.check("id").await.expect("a decision").allowed);
    let stats = limiter.stats();
    assert_eq!((stats.store_errors, stats.permanent_errors), (6, 5));
}

/// The named bound: a server that is full and may not evict is down, for those who ask for an identity it doesn't know.
#[tokio::test]
async fn a_full_server_is_down_for_a_limiter() {
    let server = RedisServer::builder()
        .directive("maxmemory-policy", "noeviction")
        .start()
        .await
        .expect("a server");
    let policies = [
        RateLimiterBuilder::fail_open,
        RateLimiterBuilder::fail_closed,
        |builder| RateLimiterBuilder::fail_local(builder, 0.5),
    ];
    let mut limiters = Vec::new();
    for policy in policies {
        let store = RedisStore::connect(&server.url()).await.expect("a store");
        let builder = RateLimiter::<str>::builder(store, "full").quota(Quota::per_hour(2));
        limiters.push(policy(builder).build().expect("a limiter"));
    }
    let [open, closed, local] = &limiters[..] else {
        panic!("three limiters");
    };
    let full = server.command::<String>(&["CONFIG", "SET", "maxmemory", "1"]);
    full.await.expect("CONFIG SET");
    for _ in 0..5 {
        let decision = open.check("id").await.expect("a decision");
        assert!(decision.allowed, "{decision:?}");
        let error = decision.store_error.expect("why");
        assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::OutOfMemory));
    }
    let error = closed.check("id").await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::OutOfMemory));
    for allowed in [true, false] {
        let decision = local.check("id").await.expect("a decision");
        assert_eq!(decision.allowed, allowed, "{decision:?}");
        assert_eq!(decision.decided_by, DecidedBy::Local);
    }
}

/// What is evicted then is what would have expired next.
#[tokio::test]
async fn a_full_server_that_evicts_what_expires_next_still_decides() {
    let server = RedisServer::builder()
        .directive("maxmemory-policy", "volatile-ttl")
        .start()
        .await
        .expect("a server");
    let fill = "for i = 1, 5000 do redis.call('SET', 'cached:' .. i, string.rep('x', 1000), 'EX', 60) end return \
                tonumber(redis.call('INFO', 'memory'):match('used_memory:(%d+)'))";
    let used = server.command::<u64>(&["EVAL", fill, "0"]).await;
    let most = (used.expect("a number") - 500_000).to_string();
    let set = ["CONFIG", "SET", "maxmemory", &most];
    let set = server.command::<String>(&set).await;
    set.expect("CONFIG SET");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let builder = RateLimiter::<str>::builder(store, "full").quota(Quota::per_hour(2));
    let limiter = builder.fail_closed().build().expect("a limiter");
    for allowed in [true, true, false] {
        let decision = limiter.check("id").await.expect("a decision");
        assert_eq!(decision.allowed, allowed, "{decision:?}");
        assert_eq!(decision.decided_by, DecidedBy::Store);
    }
}

#[tokio::test]
async fn a_refund_needs_the_store() {
    let (store, builder) = rig();
    let limiter = builder.build().expect("a limiter");
    store.down(Some(StoreErrorKind::Unavailable));
    let error = limiter
        .refund("id", 1)
        .await
        .expect_err("the store is down");
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Unavailable));
    assert_eq!(limiter.stats().store_errors, 1);
}

#[tokio::test]
async fn a_reset_needs_the_store() {
    let (store, builder) = rig();
    let limiter = builder.fail_local(1.0).build().expect("a limiter");
    store.down(Some(StoreErrorKind::Unavailable));
    assert!(limiter.check_n("id", 8).await.expect("a decision").allowed);
    let error = limiter.reset("id").await.expect_err("the store is down");
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Unavailable));
    // What this process knows is forgotten all the same.
    assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 8);
    assert_eq!(limiter.stats().store_errors, 3);
}
