//! What each call costs, counted and weighed by the server.

use std::time::Duration;

use larder_rate_limit::{Algorithm, Quota, RateLimiter};
use larder_redis::RedisStore;
use larder_testing::RedisServer;

async fn limiter(server: &RedisServer, algorithm: Algorithm, quotas: &[Quota]) -> RateLimiter<str> {
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let builder = RateLimiter::builder(store, "cost").algorithm(algorithm);
    let builder = quotas
        .iter()
        .cloned()
        .fold(builder, |builder, quota| builder.quota(quota));
    builder.fail_closed().build().expect("a limiter")
}

#[tokio::test]
async fn one_decision_is_one_command() {
    let server = RedisServer::start().await.expect("a server");
    for &algorithm in Algorithm::ALL {
        // Nothing flows back while the test runs.
        let year = Duration::from_secs(31_536_000);
        let quotas = [Quota::new(10, year), Quota::new(1_000, 2 * year)];
        for quotas in [&quotas[..1], &quotas] {
            let limiter = limiter(&server, algorithm, quotas).await;
            // The server learns the scripts.
            let _ = limiter.check_n("other", 1).await.expect("a decision");
            limiter.reset("other").await.expect("a reset");
            let mut watch = server.watch().await.expect("watch");
            for (cost, allowed) in [(1, true), (9, true), (10, false), (1_001, false)] {
                let decision = limiter.check_n("id", cost).await.expect("a decision");
                assert_eq!(decision.allowed, allowed);
                assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"]);
            }
            let _ = limiter.peek("id").await.expect("a decision");
            assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"]);
            let _ = limiter.refund("id", 1).await.expect("a decision");
            assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"]);
            limiter.check_many(&[("a", 1), ("b", 1), ("c", 1)]).await;
            assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"; 3]);
            limiter.reset("id").await.expect("a reset");
            assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"]);
        }
    }
}

/// What stands in the keys of an algorithm.
fn kind(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Gcra => "gcra",
        Algorithm::TokenBucket => "bucket",
        Algorithm::SlidingCounter => "counter",
        Algorithm::SlidingLog => "log",
        _ => "window",
    }
}

/// The most bytes over its key that Redis holds for an identity, by `MEMORY USAGE`, whatever the length of the key.
async fn memory(server: &RedisServer, limiter: &RateLimiter<str>, hits: u64) -> usize {
    let kind = kind(limiter.algorithm());
    let mut most = 0;
    for len in [1, 8, 15, 24, 40, 64, 100] {
        let id = "x".repeat(len);
        for _ in 0..hits {
            let _ = limiter.check(&id).await.expect("a decision");
        }
        let key = format!("larder:cost:{kind}:{id}");
        let usage = server.command::<usize>(&["MEMORY", "USAGE", &key]).await;
        most = most.max(usage.expect("a record") - key.len());
    }
    most
}

#[tokio::test]
async fn an_identity_takes_little_memory() {
    let server = RedisServer::start().await.expect("a server");
    // As the crate's page says.
    let bounds = [
        (Algorithm::Gcra, 88),
        (Algorithm::TokenBucket, 104),
        (Algorithm::SlidingCounter, 120),
        (Algorithm::SlidingLog, 90 + 10 * 10),
        (Algorithm::FixedWindow, 104),
    ];
    for (algorithm, most) in bounds {
        server
            .command::<String>(&["FLUSHALL"])
            .await
            .expect("FLUSHALL");
        let limiter = limiter(&server, algorithm, &[Quota::per_hour(100)]).await;
        let usage = memory(&server, &limiter, 10).await;
        println!("{algorithm:?}: up to {usage} bytes over the key");
        assert!(usage <= most, "{algorithm:?}: {usage} bytes over the key");
    }
}

#[tokio::test]
async fn a_record_expires_when_it_does_not_matter_any_more() {
    let server = RedisServer::start().await.expect("a server");
    for &algorithm in Algorithm::ALL {
        let limiter = limiter(&server, algorithm, &[Quota::per_hour(100)]).await;
        let id = format!("{algorithm:?}");
        let before = tokio::time::Instant::now();
        let decision = limiter.check_n(&id, 7).await.expect("a decision");
        let key = format!("larder:cost:{}:{id}", kind(algorithm));
        let left = server
            .command::<u64>(&["PTTL", &key])
            .await
            .expect("a time");
        let left = Duration::from_millis(left) + before.elapsed();
        let most = decision.reset_after + Duration::from_millis(150) + before.elapsed();
        assert!(
            left >= decision.reset_after,
            "{algorithm:?}: {left:?} of {decision:?}"
        );
        assert!(left <= most, "{algorithm:?}: {left:?} of {decision:?}");
    }
}
