//! What other limiters are known to answer, row by row, in memory and on a real Redis.

mod common;

use std::time::Duration;

use common::Rig;
use larder_rate_limit::{
    Algorithm::{self, FixedWindow, Gcra, SlidingCounter, SlidingLog, TokenBucket},
    Decision, ErrorKind, Quota, RateLimiter, RetryAfter,
};

const SECOND: Duration = Duration::from_secs(1);

/// Those that keep a burst and a rate: they agree on every row of A, B, C and D.
const SMOOTH: [Algorithm; 2] = [Gcra, TokenBucket];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Debug, Clone, Copy)]
enum Do {
    /// Time passes.
    Wait(Duration),
    /// A cost is admitted, and this much is left.
    Admit(u64, u64),
    /// A cost is refused, and this much is left.
    Deny(u64, u64),
    /// A cost is refused for ever, and this much is left.
    Never(u64, u64),
    /// Looking finds this much.
    Peek(u64),
    /// A cost is given back, and this much is left.
    Refund(u64, u64),
}

use Do::{Admit, Deny, Never, Peek, Refund, Wait};

struct Subject {
    rig: Rig,
    limiter: RateLimiter<str>,
}

impl Subject {
    async fn run(&self, row: Do) -> Option<Decision> {
        let limiter = &self.limiter;
        let decision = match row {
            Wait(time) => {
                self.rig.advance(time).await;
                return None;
            }
            Admit(cost, _) | Deny(cost, _) | Never(cost, _) => limiter.check_n("id", cost).await,
            Peek(_) => limiter.peek("id").await,
            Refund(cost, _) => limiter.refund("id", cost).await,
        };
        Some(decision.expect("a decision"))
    }

    async fn all(&self, rows: &[Do], about: &str) {
        for (at, row) in rows.iter().enumerate() {
            let Some(decision) = self.run(*row).await else {
                continue;
            };
            let about = format!("{about}, row {at}: {row:?} got {decision:?}");
            let allowed = match row {
                Peek(left) => *left > 0,
                row => matches!(row, Admit(..) | Refund(..)),
            };
            assert_eq!(decision.allowed, allowed, "{about}");
            assert_eq!(decision.violated.is_empty(), allowed, "{about}");
            let never = decision.retry_after == RetryAfter::Never;
            assert_eq!(never, matches!(row, Never(..)), "{about}");
            let (Admit(_, left) | Deny(_, left) | Never(_, left) | Peek(left) | Refund(_, left)) =
                *row
            else {
                continue;
            };
            assert_eq!(decision.remaining, left, "{about}");
        }
    }
}

/// Runs rows on fresh identities: each algorithm over each store, windows from their start.
async fn check(algorithms: &[Algorithm], quota: Quota, rows: &[Do]) {
    for algorithm in algorithms {
        for rig in Rig::both().await {
            let limiter = rig.limiter(*algorithm, quota.clone());
            rig.advance_to_start_of(quota.period()).await;
            let about = format!("{algorithm:?} over {:?}", rig.store());
            let subject = Subject { rig, limiter };
            subject.all(rows, &about).await;
        }
    }
}

/// Admits these costs of 1 one after another.
fn admissions(from: u64) -> impl Iterator<Item = Do> {
    (0..from).rev().map(|left| Admit(1, left))
}

/// Time in ms, cost, admitted, remaining, reset in ms, retry in ms.
type Row = (u64, u64, bool, u64, u64, Option<u64>);

const NEVER: Option<u64> = None;
const NOW: Option<u64> = Some(0);

/// B = 5, T = 1 s.
const A: [Row; 16] = [
    (0, 6, false, 5, 0, NEVER),
    (0, 1, true, 4, 1_000, NOW),
    (0, 1, true, 3, 2_000, NOW),
    (0, 1, true, 2, 3_000, NOW),
    (0, 1, true, 1, 4_000, NOW),
    (0, 1, true, 0, 5_000, NOW),
    (0, 1, false, 0, 5_000, Some(1_000)),
    (3_000, 1, true, 2, 3_000, NOW),
    (3_100, 1, true, 1, 3_900, NOW),
    (4_000, 1, true, 1, 4_000, NOW),
    (8_000, 1, true, 4, 1_000, NOW),
    (9_500, 1, true, 4, 1_000, NOW),
    (9_500, 0, true, 4, 1_000, NOW),
    (9_500, 2, true, 2, 3_000, NOW),
    (9_500, 5, false, 2, 3_000, Some(3_000)),
    (15_000, 6, false, 5, 0, NEVER),
];

#[tokio::test]
async fn a_times_to_the_microsecond() {
    for algorithm in SMOOTH {
        for rig in Rig::both().await {
            let limiter = rig.limiter(algorithm, Quota::per_second(1).burst(5));
            let mut time = 0;
            for (at, cost, allowed, remaining, reset, retry) in A {
                rig.advance(ms(at - time)).await;
                time = at;
                let decision = limiter.check_n("id", cost).await.expect("a decision");
                let retry = retry.map_or(RetryAfter::Never, |retry| RetryAfter::After(ms(retry)));
                let got = (
                    decision.allowed,
                    decision.limit,
                    decision.remaining,
                    decision.reset_after,
                    decision.retry_after,
                );
                let wanted = (allowed, 5, remaining, ms(reset), retry);
                assert_eq!(got, wanted, "{algorithm:?} at {at} ms, cost {cost}");
            }
        }
    }
}

#[tokio::test]
async fn a_zero_quotas_and_periods_are_refused_when_the_limiter_is_built() {
    let zeros = [
        Quota::per_second(0),
        Quota::per_day(0).burst(1),
        Quota::per_second(1).burst(0),
        Quota::new(1, Duration::ZERO),
    ];
    for &algorithm in Algorithm::ALL {
        for quota in &zeros {
            let store = larder_memory::MemoryStore::new(1);
            let built = RateLimiter::<str>::builder(store, "zero")
                .algorithm(algorithm)
                .quota(quota.clone())
                .build();
            let error = built.expect_err("a zero");
            assert_eq!(error.kind(), ErrorKind::Config, "{algorithm:?}: {quota:?}");
        }
    }
}

#[tokio::test]
async fn b_five_a_second() {
    let mut rows: Vec<_> = admissions(5).collect();
    rows.extend([Deny(1, 0), Wait(2 * SECOND)]);
    rows.extend(admissions(5));
    rows.push(Deny(1, 0));
    check(&SMOOTH, Quota::per_second(5), &rows).await;
}

#[tokio::test]
async fn b_more_than_the_burst_is_never_and_spends_nothing() {
    let rows = [Never(15, 5), Never(7, 5), Never(6, 5), Admit(5, 0)];
    check(Algorithm::ALL, Quota::per_second(5), &rows).await;
}

#[tokio::test]
async fn b_two_a_second() {
    let rows = [
        Admit(1, 1),
        Wait(ms(1)),
        Admit(1, 0),
        Wait(ms(1)),
        Deny(1, 0),
        Wait(ms(1_000)),
        Admit(1, 1),
        Wait(ms(1)),
        Admit(1, 0),
        Wait(ms(1)),
        Deny(1, 0),
    ];
    check(&SMOOTH, Quota::per_second(2), &rows).await;
}

#[tokio::test]
async fn b_a_long_rest_gives_one_burst() {
    let burst = [Admit(1, 1), Admit(1, 0), Deny(1, 0)];
    let rows = [&burst[..], &[Wait(120 * SECOND)], &burst].concat();
    check(&SMOOTH, Quota::new(1, ms(90)).burst(2), &rows).await;
}

#[tokio::test]
async fn c_a_fresh_key_is_counted_right() {
    let rows = [Admit(1, 9), Admit(2, 7), Admit(7, 0), Never(1_000, 0)];
    check(Algorithm::ALL, Quota::per_second(10), &rows).await;
    for rig in Rig::both().await {
        let limiter = rig.limiter(Gcra, Quota::per_second(10));
        let _ = limiter.check_n("id", 10).await.expect("a decision");
        let decision = limiter.check_n("id", 1_000).await.expect("a decision");
        assert_eq!(decision.reset_after, SECOND);
    }
}

#[tokio::test]
async fn d_an_interval_that_is_no_whole_number() {
    let rows = [
        Admit(3, 0),
        Wait(8 * SECOND),
        Deny(1, 0),
        Wait(SECOND),
        Admit(1, 0),
    ];
    check(&SMOOTH, Quota::per_minute(7).burst(3), &rows).await;
}

#[tokio::test]
async fn d_refill() {
    let rows = [
        Admit(6, 2),
        Wait(ms(500)),
        Admit(1, 3),
        Wait(SECOND),
        Admit(1, 6),
    ];
    check(&SMOOTH, Quota::per_second(4).burst(8), &rows).await;
    let rows = [Admit(15, 5), Wait(SECOND), Admit(12, 3), Deny(5, 3)];
    check(&SMOOTH, Quota::per_second(10).burst(20), &rows).await;
}

#[tokio::test]
async fn d_looking_while_it_fills() {
    let mut rows = vec![Admit(5, 0)];
    rows.extend((1..=5).flat_map(|left| [Wait(ms(500)), Peek(left)]));
    check(&SMOOTH, Quota::per_second(2).burst(5), &rows).await;
}

#[tokio::test]
async fn d_a_rest_gives_the_burst_and_no_more() {
    for rest in [30, 36, 59, 60] {
        let mut rows = vec![Admit(5, 0), Wait(rest * SECOND)];
        rows.extend(admissions(5));
        rows.push(Deny(1, 0));
        check(&SMOOTH, Quota::new(1, 6 * SECOND).burst(5), &rows).await;
    }
}

#[tokio::test]
async fn e_costs() {
    let rows = [
        Admit(1_000, 1_000),
        Deny(1_500, 1_000),
        Admit(500, 500),
        Admit(400, 100),
        Admit(100, 0),
        Deny(1, 0),
    ];
    let without_log = [Gcra, TokenBucket, SlidingCounter, FixedWindow];
    check(&without_log, Quota::per_hour(2_000), &rows).await;
    // A log takes no such limit: the same by hundreds.
    let rows = [
        Admit(10, 10),
        Deny(15, 10),
        Admit(5, 5),
        Admit(4, 1),
        Admit(1, 0),
        Deny(1, 0),
    ];
    check(&[SlidingLog], Quota::per_hour(20), &rows).await;
    let rows = [Peek(10), Admit(1, 9), Never(100, 9), Peek(9)];
    check(Algorithm::ALL, Quota::per_minute(10), &rows).await;
}

#[tokio::test]
async fn e_a_changed_quota_rescales() {
    for &algorithm in Algorithm::ALL {
        for rig in Rig::both().await {
            let of_100 = rig.limiter(algorithm, Quota::per_minute(100));
            rig.advance_to_start_of(60 * SECOND).await;
            assert_eq!(of_100.check("id").await.expect("a decision").remaining, 99);
            assert_eq!(of_100.check("id").await.expect("a decision").remaining, 98);
            // A log keeps its hits; the others keep the share that is spent.
            let (of_10, of_200) = match algorithm {
                SlidingLog => (8, 198),
                Gcra | TokenBucket => (9, 196),
                _ => (9, 196),
            };
            for (limit, left) in [(10, of_10), (200, of_200)] {
                let quotas = [Quota::per_minute(limit)];
                let changed = of_100.with_quotas(quotas).expect("a handle");
                let seen = changed.peek("id").await.expect("a decision");
                assert_eq!(seen.remaining, left, "{algorithm:?} of {limit}");
                assert_eq!(seen.limit, limit);
            }
            // And when it is written under the new quota.
            let of_10 = of_100
                .with_quotas([Quota::per_minute(10)])
                .expect("a handle");
            let spent = of_10.check("id").await.expect("a decision");
            assert!(spent.allowed && spent.remaining < 10, "{spent:?}");
            let of_200 = of_100
                .with_quotas([Quota::per_minute(200)])
                .expect("a handle");
            let seen = of_200.peek("id").await.expect("a decision");
            assert!(seen.remaining < 200, "reset instead of rescaled: {seen:?}");
        }
    }
}

#[tokio::test]
async fn e_leaky() {
    let rows = [
        Admit(1, 9),
        Wait(SECOND),
        Admit(1, 8),
        Wait(SECOND),
        Admit(1, 7),
        Wait(ms(1_500)),
        Peek(8),
        Wait(3 * SECOND),
        Peek(9),
        Admit(9, 0),
        Deny(1, 0),
        Wait(3 * SECOND),
        Peek(1),
        Wait(60 * SECOND),
        Peek(10),
    ];
    check(&SMOOTH, Quota::new(10, 30 * SECOND), &rows).await;
}

#[tokio::test]
async fn f_the_window_before_weighs_less_and_less() {
    let rows = [
        Wait(ms(990)),
        Admit(1, 4),
        Admit(1, 3),
        Admit(1, 2),
        Wait(ms(11)),
        Peek(2),
        // 3 * 0.66 is 2, rounded up; 3 * 0.33 is 1.
        Wait(ms(339)),
        Peek(3),
        Wait(ms(330)),
        Peek(4),
        Wait(ms(330)),
        Peek(5),
    ];
    check(&[SlidingCounter], Quota::per_second(5), &rows).await;
}

#[tokio::test]
async fn f_refused_costs_are_not_counted() {
    let rows = [Never(11, 10), Admit(5, 5), Deny(6, 5), Peek(5)];
    check(Algorithm::ALL, Quota::per_second(10), &rows).await;
    let rows = [Admit(9, 1), Deny(5, 1), Admit(1, 0)];
    check(Algorithm::ALL, Quota::per_second(10), &rows).await;
}

#[tokio::test]
async fn g_refunds() {
    let quota = Quota::per_minute(10);
    let rows = [Refund(3, 10), Peek(10), Admit(4, 6), Refund(2, 8), Peek(8)];
    check(Algorithm::ALL, quota.clone(), &rows).await;
    let rows = [
        Admit(10, 0),
        Refund(3, 3),
        Peek(3),
        Peek(3),
        Refund(100, 10),
    ];
    check(Algorithm::ALL, quota, &rows).await;
}

#[tokio::test]
async fn g_refunds_after_the_window_has_turned() {
    let rows = [
        Admit(10, 0),
        Wait(60 * SECOND),
        Deny(1, 0),
        Refund(3, 3),
        Admit(2, 1),
        Refund(4, 5),
        Wait(30 * SECOND),
        // Half of the 5 that are left of the window before, rounded up.
        Peek(7),
    ];
    check(&[SlidingCounter], Quota::per_minute(10), &rows).await;
    // What was spent in another fixed window is forgotten: the refund is of what is spent in this one.
    let rows = [Admit(10, 0), Wait(60 * SECOND), Admit(2, 8), Refund(3, 10)];
    check(&[FixedWindow], Quota::per_minute(10), &rows).await;
}

#[tokio::test]
async fn h_refused_hits_are_not_logged_and_hits_of_one_moment_are_several() {
    let rows = [Peek(5), Admit(1, 4), Admit(4, 0), Deny(4, 0), Peek(0)];
    check(&[SlidingLog], Quota::per_second(5), &rows).await;
    for rig in Rig::both().await {
        let limiter = rig.limiter(SlidingLog, Quota::per_second(5));
        for _ in 0..7 {
            let _ = limiter.check("id").await.expect("a decision");
        }
        let key = larder_store::Key::from_raw(b"larder:table:log:id").expect("a key");
        let record = rig.store().get(&key).await.expect("get").expect("a record");
        // The head, three numbers, and five hits.
        assert_eq!(record.len(), 6 + 16 + 5 * 10);
    }
}

/// From a fixed window: it starts anew at its end, not before.
#[tokio::test]
async fn fixed_windows_end_at_multiples_of_their_period() {
    let rows = [
        Wait(ms(900)),
        Admit(5, 0),
        Wait(ms(99)),
        Deny(1, 0),
        Wait(ms(1)),
        Admit(5, 0),
        Deny(1, 0),
    ];
    check(&[FixedWindow], Quota::per_second(5), &rows).await;
}
