//! What a limiter promises besides its arithmetic.

mod common;

use std::time::Duration;

use common::Rig;
use larder_memory::MemoryStore;
use larder_rate_limit::{
    Algorithm, DecidedBy, ErrorKind, Quota, RateLimiter, RateLimiterBuilder, RetryAfter,
    StoreErrorKind,
};
use larder_store::{Bytes, Key, Namespace, Store};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn builder(name: &str) -> (MemoryStore, RateLimiterBuilder<str>) {
    let store = MemoryStore::new(10_000);
    (store.clone(), RateLimiter::builder(store, name))
}

fn key(name: &str, algorithm: Algorithm, id: &str) -> Key {
    let kind = match algorithm {
        Algorithm::Gcra => "gcra",
        Algorithm::TokenBucket => "bucket",
        Algorithm::SlidingCounter => "counter",
        Algorithm::SlidingLog => "log",
        _ => "window",
    };
    Key::from_raw(format!("larder:{name}:{kind}:{id}").as_bytes()).expect("a key")
}

fn two_limits(rig: &Rig) -> RateLimiter<str> {
    RateLimiter::builder(rig.store(), "two")
        .quota(Quota::per_second(10).named("burst"))
        .and(Quota::per_hour(12).named("sustained"))
        .build()
        .expect("a limiter")
}

#[tokio::test]
async fn several_limits_are_decided_at_once() {
    for rig in Rig::both().await {
        let limiter = two_limits(&rig);
        assert!(limiter.check_n("id", 10).await.expect("a decision").allowed);
        let refused = limiter.check_n("id", 3).await.expect("a decision");
        assert_eq!(refused.violated, [0, 1]);
        rig.advance(SECOND).await;
        let refused = limiter.check_n("id", 3).await.expect("a decision");
        assert_eq!((refused.allowed, &refused.violated[..]), (false, &[1][..]));
        // The tightest one speaks for all; one token of it takes 300 s.
        assert_eq!((refused.limit, refused.remaining), (12, 2));
        let wait = Duration::from_secs(299);
        assert_eq!(refused.retry_after, RetryAfter::After(wait));
        // Nothing was spent of the one that would have admitted it.
        let [burst, sustained] = refused.limits().collect::<Vec<_>>()[..] else {
            panic!("two limits");
        };
        assert_eq!((burst.remaining, burst.violated), (10, false));
        assert_eq!(burst.retry_after, RetryAfter::ZERO);
        assert_eq!((sustained.remaining, sustained.violated), (2, true));
        let names = refused.quotas().iter().map(Quota::name);
        assert_eq!(
            names.collect::<Vec<_>>(),
            [Some("burst"), Some("sustained")]
        );
        assert_eq!(refused.quotas()[1].period(), 3_600 * SECOND);
        assert!(limiter.check_n("id", 2).await.expect("a decision").allowed);
    }
}

#[tokio::test]
async fn the_longest_refusal_counts() {
    for rig in Rig::both().await {
        let limiter = two_limits(&rig);
        let never = limiter.check_n("id", 11).await.expect("a decision");
        assert_eq!(never.violated, [0]);
        assert_eq!(never.retry_after, RetryAfter::Never);
        assert_eq!(never.retry_after.duration(), None);
        assert_eq!(
            never.limits().nth(1).expect("a limit").retry_after,
            RetryAfter::ZERO
        );
        assert_eq!(never.reset_after, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn of_limits_that_admit_the_one_with_the_least_left_speaks() {
    let (_, builder) = builder("least");
    let limiter = builder
        .quota(Quota::per_second(100))
        .and(Quota::per_minute(3))
        .and(Quota::per_hour(50));
    let limiter = limiter.build().expect("a limiter");
    let decision = limiter.check("id").await.expect("a decision");
    assert_eq!((decision.limit, decision.remaining), (3, 2));
    assert_eq!(decision.decided_by, DecidedBy::Store);
    assert_eq!(limiter.quotas().len(), 3);
}

#[tokio::test]
async fn tenants_have_quotas_of_their_own() {
    for rig in Rig::both().await {
        let limiter = rig.limiter(Algorithm::Gcra, Quota::per_minute(2));
        let large = limiter
            .with_quotas([Quota::per_minute(5)])
            .expect("a handle");
        assert_eq!(large.check("large").await.expect("a decision").remaining, 4);
        assert_eq!(
            limiter.check("small").await.expect("a decision").remaining,
            1
        );
        assert_eq!(large.stats().allowed, 2);
        assert_eq!(limiter.clone().stats(), large.stats());
        let error = limiter.with_quotas([]).expect_err("no quota");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

/// While instances run with two algorithms, each counts by itself, and neither forgets.
#[tokio::test]
async fn a_deploy_of_another_algorithm_admits_twice_the_quota_and_no_more() {
    for rig in Rig::both().await {
        let limiter = |algorithm: &Algorithm| rig.limiter(*algorithm, Quota::per_hour(5));
        let limiters: Vec<_> = Algorithm::ALL.iter().map(limiter).collect();
        for limiter in &limiters {
            assert!(limiter.check_n("id", 5).await.expect("a decision").allowed);
        }
        for limiter in limiters.iter().chain(&limiters) {
            let decision = limiter.check("id").await.expect("a decision");
            assert!(!decision.allowed, "{limiter:?}: {decision:?}");
        }
    }
}

/// States beyond the quotas of a handle are those of another one.
#[tokio::test]
async fn a_handle_with_fewer_quotas_keeps_what_was_spent_of_the_others() {
    for &algorithm in Algorithm::ALL {
        for rig in Rig::both().await {
            let quotas = [
                Quota::per_second(10),
                Quota::per_hour(20),
                Quota::per_day(900),
            ];
            let one = rig.limiter(algorithm, quotas[0].clone());
            let all = one.with_quotas(quotas).expect("a handle");
            for _ in 0..2 {
                assert!(all.check_n("id", 10).await.expect("a decision").allowed);
                rig.advance(2 * SECOND).await;
            }
            for _ in 0..20 {
                assert!(one.check("id").await.expect("a decision").allowed);
                rig.advance(SECOND).await;
            }
            let _ = one.refund("id", 10).await.expect("a decision");
            let refused = all.check("id").await.expect("a decision");
            assert_eq!(refused.violated, [1], "{algorithm:?}: {refused:?}");
            assert_eq!(
                refused.limits().nth(2).expect("a limit").remaining,
                880,
                "{algorithm:?}"
            );
            // But not longer than it matters.
            rig.advance(48 * 3_600 * SECOND).await;
            let all = all.peek("id").await.expect("a decision");
            assert_eq!(all.reset_after, Duration::ZERO, "{algorithm:?}");
        }
    }
}

/// The named bound: what was spent comes back at the rate of the quota that was written last, so an identity whose caller
/// may choose the quota has all of the largest, and then all of the smallest. What a caller can choose belongs into the identity.
#[tokio::test]
async fn a_caller_who_may_choose_the_quota_gains() {
    for rig in Rig::both().await {
        let hourly = rig.limiter(Algorithm::Gcra, Quota::per_hour(10));
        let chosen = hourly
            .with_quotas([Quota::per_second(10)])
            .expect("a handle");
        assert!(hourly.check_n("id", 10).await.expect("a decision").allowed);
        assert!(!chosen.check_n("id", 10).await.expect("a decision").allowed);
        rig.advance(SECOND).await;
        assert!(hourly.check_n("id", 10).await.expect("a decision").allowed);
    }
}

/// An identity that waits under a quota which is changed waits as the new one says, and no more.
#[tokio::test]
async fn a_refused_identity_moves_to_its_new_quota() {
    for algorithm in [Algorithm::Gcra, Algorithm::TokenBucket] {
        for rig in Rig::both().await {
            let slow = rig.limiter(algorithm, Quota::per_day(10));
            assert!(slow.check_n("id", 10).await.expect("a decision").allowed);
            let fast = slow.with_quotas([Quota::per_second(10)]).expect("a handle");
            let refused = fast.check("id").await.expect("a decision");
            assert_eq!(refused.retry_after, RetryAfter::After(SECOND / 10));
            rig.advance(SECOND / 10).await;
            assert!(fast.check("id").await.expect("a decision").allowed);
        }
    }
}

#[tokio::test]
async fn batches_answer_in_order() {
    for rig in Rig::both().await {
        let limiter = rig.limiter(Algorithm::Gcra, Quota::per_minute(3));
        let long = "x".repeat(2_000);
        let checks = [("a", 1), ("b", 3), (&long, 1), ("a", 2), ("a", 1), ("b", 4)];
        let decisions = limiter.check_many(&checks).await;
        let remaining: Vec<_> = decisions
            .iter()
            .map(|decision| {
                Some((
                    decision.as_ref().ok()?.allowed,
                    decision.as_ref().ok()?.remaining,
                ))
            })
            .collect();
        let wanted = [
            Some((true, 2)),
            Some((true, 0)),
            None,
            Some((true, 0)),
            Some((false, 0)),
            Some((false, 0)),
        ];
        assert_eq!(remaining, wanted);
        let error = decisions[2].as_ref().expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::IdentityTooLong);
        assert!(limiter.check_many(&[]).await.is_empty());
        assert_eq!((limiter.stats().allowed, limiter.stats().denied), (3, 2));
    }
}

#[tokio::test]
async fn looking_writes_nothing_and_counts_as_nothing() {
    for &algorithm in Algorithm::ALL {
        for rig in Rig::both().await {
            let limiter = rig.limiter(algorithm, Quota::per_minute(3));
            let record = || async {
                rig.store()
                    .get(&key("table", algorithm, "id"))
                    .await
                    .expect("get")
            };
            assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 3);
            assert_eq!(record().await, None);
            let _ = limiter.check("id").await.expect("a decision");
            let before = record().await;
            assert!(before.is_some());
            assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 2);
            let _ = limiter.check_n("id", 0).await.expect("a decision");
            assert_eq!(record().await, before);
            assert_eq!(limiter.stats().allowed, 2);
        }
    }
}

#[tokio::test]
async fn looking_says_whether_a_cost_fits_and_when() {
    for algorithm in [Algorithm::Gcra, Algorithm::TokenBucket] {
        for rig in Rig::both().await {
            let limiter = rig.limiter(algorithm, Quota::per_second(4));
            assert!(limiter.check_n("id", 3).await.expect("a decision").allowed);
            let one = limiter.peek("id").await.expect("a decision");
            assert!(one.allowed && one.retry_after == RetryAfter::ZERO && one.remaining == 1);
            let three = limiter.peek_n("id", 3).await.expect("a decision");
            assert_eq!((three.allowed, &three.violated[..]), (false, &[0][..]));
            assert_eq!(three.retry_after, RetryAfter::After(SECOND / 2));
            let five = limiter.peek_n("id", 5).await.expect("a decision");
            assert_eq!(five.retry_after, RetryAfter::Never);
            assert!(limiter.check("id").await.expect("a decision").allowed);
            assert!(!limiter.peek("id").await.expect("a decision").allowed);
            assert_eq!((limiter.stats().allowed, limiter.stats().denied), (2, 0));
        }
    }
}

#[tokio::test]
async fn a_reset_forgets() {
    for rig in Rig::both().await {
        let limiter = rig.limiter(Algorithm::SlidingLog, Quota::per_minute(3));
        let _ = limiter.check_n("id", 3).await.expect("a decision");
        limiter.reset("id").await.expect("a reset");
        limiter.reset("id").await.expect("a reset of nothing");
        let record = rig
            .store()
            .get(&key("table", Algorithm::SlidingLog, "id"))
            .await
            .expect("get");
        assert_eq!(record, None);
        assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 3);
    }
}

#[tokio::test]
async fn a_full_refund_leaves_no_record() {
    for algorithm in [
        Algorithm::Gcra,
        Algorithm::TokenBucket,
        Algorithm::FixedWindow,
    ] {
        for rig in Rig::both().await {
            let limiter = rig.limiter(algorithm, Quota::per_minute(3));
            let _ = limiter.check_n("id", 3).await.expect("a decision");
            let _ = limiter.refund("id", 3).await.expect("a decision");
            let record = rig
                .store()
                .get(&key("table", algorithm, "id"))
                .await
                .expect("get");
            assert_eq!(record, None, "{algorithm:?}");
        }
    }
}

#[tokio::test]
async fn denied_traffic_at_ten_times_the_quota_pushes_nothing_back() {
    for algorithm in [
        Algorithm::Gcra,
        Algorithm::TokenBucket,
        Algorithm::SlidingLog,
    ] {
        for rig in Rig::both().await {
            let limiter = rig.limiter(algorithm, Quota::per_second(10));
            assert!(limiter.check_n("id", 10).await.expect("a decision").allowed);
            let wait = limiter.check("id").await.expect("a decision").retry_after;
            let wait = wait.duration().expect("a time");
            for _ in 0..100 {
                rig.advance((wait - Duration::from_millis(1)) / 100).await;
                assert!(!limiter.check("id").await.expect("a decision").allowed);
            }
            rig.advance(Duration::from_millis(1)).await;
            assert!(
                limiter.check("id").await.expect("a decision").allowed,
                "{algorithm:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_sleeps_until_it_is_admitted() {
    let (_, builder) = builder("wait");
    let limiter = builder
        .quota(Quota::per_second(2))
        .build()
        .expect("a limiter");
    let started = Instant::now();
    for _ in 0..6 {
        let decision = limiter.until_ready("id", 10 * SECOND).await;
        assert!(decision.expect("a decision").allowed);
    }
    let took = started.elapsed();
    assert!(
        (2 * SECOND..2 * SECOND + SECOND / 50).contains(&took),
        "{took:?}"
    );
    // One refusal for each wait: it doesn't poll.
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.denied), (6, 4));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_as_soon_as_it_is_in_vain() {
    let (_, builder) = builder("wait");
    let limiter = builder
        .quota(Quota::per_second(2))
        .build()
        .expect("a limiter");
    let _ = limiter.check_n("id", 2).await.expect("a decision");
    let started = Instant::now();
    let late = limiter
        .until_ready("id", SECOND / 4)
        .await
        .expect_err("too late");
    assert_eq!(late.kind(), ErrorKind::DeadlineExceeded);
    assert!(late.is_transient());
    let never = limiter.until_ready_n("id", 3, 60 * SECOND).await;
    let never = never.expect_err("over the burst");
    assert_eq!(never.kind(), ErrorKind::NeverAdmitted);
    assert!(!never.is_transient());
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_spends_nothing() {
    let (_, builder) = builder("wait");
    let limiter = builder
        .quota(Quota::per_second(1))
        .build()
        .expect("a limiter");
    let _ = limiter.check("id").await.expect("a decision");
    let wait = limiter.until_ready("id", 10 * SECOND);
    let dropped = tokio::time::timeout(SECOND / 2, wait).await;
    assert!(dropped.is_err(), "it still waited");
    tokio::time::advance(SECOND / 2).await;
    assert_eq!(limiter.peek("id").await.expect("a decision").remaining, 1);
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_are_all_admitted_at_the_rate() {
    let (_, builder) = builder("wait");
    let limiter = builder
        .quota(Quota::per_second(10).burst(1))
        .build()
        .expect("a limiter");
    let started = Instant::now();
    let waits = (0..20).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move { limiter.until_ready("id", 60 * SECOND).await })
    });
    for wait in waits.collect::<Vec<_>>() {
        assert!(wait.await.expect("a task").expect("a decision").allowed);
    }
    let took = started.elapsed();
    // Timers fire on whole milliseconds.
    assert!((SECOND * 19 / 10..SECOND * 2).contains(&took), "{took:?}");
}

#[tokio::test]
async fn records_go_when_they_don_t_matter_any_more() {
    for &algorithm in Algorithm::ALL {
        let rig = Rig::memory();
        let limiter = rig.limiter(algorithm, Quota::per_second(5));
        let decision = limiter.check_n("id", 5).await.expect("a decision");
        let reset = decision.reset_after;
        let record = || async {
            rig.store()
                .get(&key("table", algorithm, "id"))
                .await
                .expect("get")
        };
        rig.advance(reset.saturating_sub(Duration::from_millis(1)))
            .await;
        assert!(record().await.is_some(), "{algorithm:?} lost it too early");
        rig.advance(SECOND / 5).await;
        assert_eq!(record().await, None, "{algorithm:?} keeps it");
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_records_are_left_alone() {
    for &algorithm in Algorithm::ALL {
        let (store, builder) = builder("foreign");
        let limiter = builder.algorithm(algorithm).quota(Quota::per_second(1));
        let limiter = limiter.build().expect("a limiter");
        let (key, theirs) = (
            key("foreign", algorithm, "id"),
            Bytes::from_static(b"LDR\x01V theirs"),
        );
        store.set(&key, theirs.clone(), None).await.expect("set");
        let errors = [
            limiter.check("id").await.err(),
            limiter.peek("id").await.err(),
            limiter.refund("id", 1).await.err(),
            limiter.reset("id").await.err(),
        ];
        for error in errors {
            let error = error.expect("an error");
            assert_eq!(error.kind(), ErrorKind::Foreign);
            assert!(!error.is_transient());
        }
        assert_eq!(store.get(&key).await.expect("get"), Some(theirs));
        assert_eq!((limiter.stats().foreign, limiter.stats().allowed), (4, 0));
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_left_alone() {
    let server = larder_testing::RedisServer::start()
        .await
        .expect("a server");
    let store = larder_redis::RedisStore::connect(&server.url()).await;
    let limiter = RateLimiter::<str>::builder(store.expect("a store"), "foreign")
        .quota(Quota::per_second(1))
        .build()
        .expect("a limiter");
    let pushed = server.command::<i64>(&["LPUSH", "larder:foreign:gcra:id", "theirs"]);
    pushed.await.expect("a list");
    for error in [
        limiter.check("id").await.err(),
        limiter.reset("id").await.err(),
    ] {
        assert_eq!(error.expect("an error").kind(), ErrorKind::Foreign);
    }
    let left = server.command::<i64>(&["LLEN", "larder:foreign:gcra:id"]);
    assert_eq!(left.await.expect("a length"), 1);
}

#[tokio::test(start_paused = true)]
async fn damaged_records_and_those_of_another_algorithm_are_replaced() {
    let (store, builder) = builder("damaged");
    let limiter = builder
        .quota(Quota::per_second(5))
        .build()
        .expect("a limiter");
    for record in [&b"LDR\x01RG"[..], b"LDR\x01RGdamage", b"LDR\x01RF12345678"] {
        let record = Bytes::from_static(record);
        store
            .set(&key("damaged", Algorithm::Gcra, "id"), record.clone(), None)
            .await
            .expect("set");
        assert_eq!(limiter.check("id").await.expect("a decision").remaining, 4);
        assert_eq!(limiter.check("id").await.expect("a decision").remaining, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_the_same_name_is_elsewhere() {
    let (store, builder) = builder("1");
    let limiter = builder
        .quota(Quota::per_second(1))
        .build()
        .expect("a limiter");
    let _ = limiter.check("1").await.expect("a decision");
    for version in [0, 1, 2] {
        let cache = Namespace::new("1", version).expect("a namespace");
        let key = cache.key("1").expect("a key");
        assert_eq!(store.get(&key).await.expect("get"), None);
    }
    assert_eq!(store.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn settings_that_can_t_work_are_refused() {
    let smooth = [
        Quota::new(1, Duration::from_nanos(1_500)),
        Quota::new(1, Duration::MAX),
        Quota::per_second(1).burst(u64::MAX),
        // A year for each of a hundred and forty-three.
        Quota::new(1, 31_557_600 * SECOND).burst(143),
        Quota::new(u64::MAX, SECOND),
    ];
    let windows = [Quota::per_second(5).burst(5), Quota::new(1 << 51, SECOND)];
    let logs = [Quota::per_second(1_001)];
    let cases = [
        (Algorithm::Gcra, &smooth[..]),
        (Algorithm::TokenBucket, &smooth),
        (Algorithm::FixedWindow, &windows),
        (Algorithm::SlidingCounter, &windows),
        (Algorithm::SlidingLog, &windows),
        (Algorithm::SlidingLog, &logs),
    ];
    for (algorithm, quotas) in cases {
        for quota in quotas {
            let built = builder("bad")
                .1
                .algorithm(algorithm)
                .quota(quota.clone())
                .build();
            let error = built.expect_err("a bad quota");
            assert_eq!(error.kind(), ErrorKind::Config, "{algorithm:?}: {quota:?}");
        }
    }
    let good = || Quota::per_second(1);
    let many = (0..17).fold(builder("many").1, |builder, _| builder.and(good()));
    let others = [
        builder("none").1,
        many,
        builder("a name").1.quota(good()),
        builder("share").1.quota(good()).fail_local(0.0),
        builder("share").1.quota(good()).fail_local(1.1),
        builder("share").1.quota(good()).fail_local(f64::NAN),
    ];
    for other in others {
        let error = other.build().expect_err("a bad setting");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[tokio::test(start_paused = true)]
async fn odd_and_fast_quotas_are_counted() {
    let good = [
        Quota::per_minute(7),
        Quota::per_second(300_000),
        Quota::per_second(10_000_000).burst(1),
        Quota::per_day(1_000_000),
        Quota::new(1, 31_536_000 * SECOND).burst(100),
    ];
    for quota in good {
        let (_, builder) = builder("good");
        let limiter = builder.quota(quota.clone()).build().expect("a limiter");
        let all = limiter.check_n("id", quota.capacity()).await;
        let all = all.expect("a decision");
        assert!(all.allowed && all.remaining == 0, "{quota:?}: {all:?}");
    }
}

#[tokio::test]
async fn costs_over_the_largest_burst_don_t_fit_into_it() {
    for algorithm in [Algorithm::Gcra, Algorithm::TokenBucket] {
        for rig in Rig::both().await {
            let limiter = rig.limiter(algorithm, Quota::per_second(1_000_000).burst(1 << 52));
            for cost in [(1 << 52) + 1, u64::MAX] {
                let decision = limiter.check_n("id", cost).await.expect("a decision");
                assert!(!decision.allowed, "{algorithm:?}: {decision:?}");
                assert_eq!(decision.retry_after, RetryAfter::Never);
            }
            let all = limiter.check_n("id", 1 << 52).await;
            assert!(all.expect("a decision").allowed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_keep_their_source_and_debug_shows_no_identity() {
    use std::error::Error as _;
    let (_, builder) = builder("errors");
    let limiter = builder
        .quota(Quota::per_second(1))
        .build()
        .expect("a limiter");
    let error = limiter
        .check(&"secret".repeat(500))
        .await
        .expect_err("too long");
    let source = error.source().expect("a source");
    let source = source
        .downcast_ref::<larder_store::Error>()
        .expect("the store's");
    assert_eq!(source.kind(), StoreErrorKind::KeyTooLong);
    let shown = format!("{error} {error:?} {limiter:?}");
    assert!(!shown.contains("secret"), "{shown}");
}
