//! What clients are told, in virtual time.

mod common;

use std::time::Duration;

use common::{ask, by_key, layer, limiter};
use http::StatusCode;
use larder_memory::MemoryStore;
use larder_rate_limit::{Algorithm, Quota, RateLimiter};
use larder_tower::{Error, ErrorKind, HeaderFormat, RateLimitLayer};
use tokio::time::advance;
use tower::Layer;

#[tokio::test(start_paused = true)]
async fn the_fields_follow_the_decision() {
    let layer = layer([Quota::per_minute(3).named("burst")]);
    for (left, t) in [(2, 20), (1, 20), (0, 20)] {
        let answer = ask(&layer, "a").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body, left.to_string(), "what the handler saw");
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(r#""burst";q=3;w=60"#)
        );
        let expected = format!(r#""burst";r={left};t={t}"#);
        assert_eq!(answer.header("ratelimit"), Some(&*expected));
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    let denied = ask(&layer, "a").await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(denied.header("retry-after"), Some("20"));
    assert_eq!(
        denied.header("ratelimit-policy"),
        Some(r#""burst";q=3;w=60"#)
    );
    assert_eq!(denied.header("ratelimit"), Some(r#""burst";r=0;t=20"#));
    let problem = denied.problem();
    assert_eq!(
        problem["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(
        problem["title"],
        "Request cannot be satisfied as assigned quota has been exceeded"
    );
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], serde_json::json!(["burst"]));
    assert_eq!(problem["detail"], "The request may come again in 20 s.");
    // Whoever comes when he was told is admitted.
    advance(Duration::from_secs(20)).await;
    assert_eq!(ask(&layer, "a").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_rounded_up() {
    for (wait_ms, seconds) in [
        (1, "1"),
        (200, "1"),
        (999, "1"),
        (1_000, "1"),
        (1_001, "2"),
        (1_500, "2"),
        (60_000, "60"),
    ] {
        for &algorithm in Algorithm::ALL {
            let quota = Quota::new(1, Duration::from_millis(wait_ms));
            let limiter = RateLimiter::<str>::builder(MemoryStore::new(10), "test")
                .algorithm(algorithm)
                .quota(quota);
            let layer = RateLimitLayer::new(limiter.build().expect("a limiter"), by_key())
                .expect("a layer");
            let mut answer = ask(&layer, "a").await;
            // A fixed window may end just now.
            while answer.status == StatusCode::OK {
                answer = ask(&layer, "a").await;
            }
            let told: u64 = answer
                .header("retry-after")
                .expect("a time")
                .parse()
                .expect("a number");
            assert!(told >= 1, "never 0");
            if algorithm == Algorithm::Gcra {
                assert_eq!(answer.header("retry-after"), Some(seconds));
            }
            advance(Duration::from_secs(told)).await;
            assert_eq!(
                ask(&layer, "a").await.status,
                StatusCode::OK,
                "{algorithm:?} {wait_ms}"
            );
        }
    }
}

/// `t` is when there is more: exactly, where the algorithm gives back one by one.
#[tokio::test(start_paused = true)]
async fn t_is_when_there_is_more() {
    for algorithm in [Algorithm::Gcra, Algorithm::TokenBucket] {
        let limiter = RateLimiter::<str>::builder(MemoryStore::new(10), "test")
            .algorithm(algorithm)
            .quota(Quota::new(7, Duration::from_secs(700)));
        let layer =
            RateLimitLayer::new(limiter.build().expect("a limiter"), by_key()).expect("a layer");
        let told = async |expected: &str| {
            assert_eq!(
                ask(&layer, "a").await.header("ratelimit"),
                Some(expected),
                "{algorithm:?}"
            );
        };
        told(r#""default";r=6;t=100"#).await;
        advance(Duration::from_millis(40_500)).await;
        told(r#""default";r=5;t=60"#).await;
        told(r#""default";r=4;t=60"#).await;
        advance(Duration::from_millis(59_400)).await;
        told(r#""default";r=3;t=1"#).await;
    }
    let limiter = RateLimiter::<str>::builder(MemoryStore::new(10), "test")
        .algorithm(Algorithm::SlidingLog)
        .quota(Quota::per_minute(7));
    let layer =
        RateLimitLayer::new(limiter.build().expect("a limiter"), by_key()).expect("a layer");
    assert_eq!(
        ask(&layer, "a").await.header("ratelimit"),
        Some(r#""default";r=6;t=60"#)
    );
}

#[tokio::test(start_paused = true)]
async fn every_policy_is_listed() {
    let layer = layer([
        Quota::per_second(2).burst(4).named("burst"),
        Quota::per_hour(5),
        Quota::new(100, Duration::from_millis(1_500)).named(r#"a "b" \"#),
    ]);
    let answer = ask(&layer, "a").await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""burst";q=2;w=1;larder-burst=4, "default-2";q=5;w=3600, "a \"b\" \\";q=100"#)
    );
    assert_eq!(
        answer.header("ratelimit"),
        Some(r#""burst";r=3;t=1, "default-2";r=4;t=720, "a \"b\" \\";r=99;t=1"#)
    );
    for _ in 0..3 {
        assert_eq!(ask(&layer, "a").await.status, StatusCode::OK);
    }
    let denied = ask(&layer, "a").await;
    assert_eq!(
        denied.problem()["violated-policies"],
        serde_json::json!(["burst"])
    );
    assert_eq!(denied.header("retry-after"), Some("1"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&layer, "a").await.status, StatusCode::OK);
    let denied = ask(&layer, "a").await;
    assert_eq!(
        denied.problem()["violated-policies"],
        serde_json::json!(["default-2"])
    );
    assert_eq!(denied.header("retry-after"), Some("719"));
    // `Retry-After` should not be before a `t`.
    assert_eq!(
        denied.header("ratelimit"),
        Some(r#""burst";r=1, "default-2";r=0;t=719, "a \"b\" \\";r=99"#)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_never_admitted_is_not_to_be_tried_again() {
    let layer = RateLimitLayer::builder(limiter([Quota::per_minute(3)]), by_key())
        .cost(|_| 4)
        .build();
    let answer = ask(&layer.expect("a layer"), "a").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("ratelimit"), Some(r#""default";r=3"#));
    assert_eq!(
        answer.problem()["detail"],
        "The request costs more than is ever admitted at once."
    );
}

#[tokio::test(start_paused = true)]
async fn legacy_fields_tell_of_the_tightest_quota() {
    let quotas = [Quota::per_minute(3), Quota::per_day(1_000)];
    let layer = RateLimitLayer::builder(limiter(quotas), by_key())
        .legacy_headers(true)
        .header_format(HeaderFormat::None)
        .build()
        .expect("a layer");
    let answer = ask(&layer, "a").await;
    assert_eq!(answer.header("ratelimit"), None);
    assert_eq!(answer.header("ratelimit-policy"), None);
    let told = |answer: &common::Answer| {
        ["limit", "remaining", "reset"].map(|of| {
            answer
                .header(&format!("x-ratelimit-{of}"))
                .map(str::to_owned)
        })
    };
    assert_eq!(
        told(&answer),
        ["3", "2", "20"].map(|of| Some(of.to_owned()))
    );
    ask(&layer, "a").await;
    ask(&layer, "a").await;
    let denied = ask(&layer, "a").await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        told(&denied),
        ["3", "0", "60"].map(|of| Some(of.to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_key_and_a_unit_are_sent_if_asked_for() {
    let layer = RateLimitLayer::builder(limiter([Quota::per_minute(1_000)]), by_key())
        .quota_unit("content-bytes")
        .cost(|_| 200)
        .partition_key(|key| key.as_bytes().to_vec())
        .build()
        .expect("a layer");
    let answer = ask(&layer, "foob").await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""default";q=1000;qu="content-bytes";w=60"#)
    );
    assert_eq!(
        answer.header("ratelimit"),
        Some(r#""default";r=800;t=1;pk=:Zm9vYg==:"#)
    );
}

#[tokio::test(start_paused = true)]
async fn layers_in_layers_list_all_their_policies() {
    let outer = layer([Quota::per_minute(100).named("address")]);
    let inner = layer([Quota::per_minute(10).named("user")]);
    let request = http::Request::builder()
        .header("key", "a")
        .body(())
        .expect("a request");
    let answer = common::send(outer.layer(inner.layer(common::echo())), request).await;
    let all = |name: &str| -> Vec<String> {
        let values = answer.headers.get_all(name).iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(
        all("ratelimit-policy"),
        [r#""user";q=10;w=60"#, r#""address";q=100;w=60"#]
    );
    assert_eq!(
        all("ratelimit"),
        [r#""user";r=9;t=6"#, r#""address";r=99;t=1"#]
    );
}

#[test]
fn names_that_cannot_be_sent_do_not_build() {
    let error = |quotas: Vec<Quota>| -> Error {
        RateLimitLayer::new(limiter(quotas), by_key()).expect_err("a bad name")
    };
    for name in ["", "naïve", "a\r\nb", "\0", "日"] {
        let error = error(vec![Quota::per_day(1).named(name)]);
        assert_eq!(error.kind(), ErrorKind::PolicyName, "{name:?}");
    }
    let twice = error(vec![
        Quota::per_day(1).named("x"),
        Quota::per_hour(1).named("x"),
    ]);
    assert_eq!(twice.kind(), ErrorKind::PolicyName);
    let taken = error(vec![
        Quota::per_day(1).named("default-2"),
        Quota::per_hour(1),
    ]);
    assert_eq!(taken.kind(), ErrorKind::PolicyName);
    let unit = RateLimitLayer::builder(limiter([Quota::per_day(1)]), by_key())
        .quota_unit("octets\n")
        .build();
    assert_eq!(unit.expect_err("a bad unit").kind(), ErrorKind::QuotaUnit);
}
