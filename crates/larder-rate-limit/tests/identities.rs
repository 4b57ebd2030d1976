//! Whatever an identity is, it is nobody else's.

use larder_memory::MemoryStore;
use larder_rate_limit::{ErrorKind, Quota, RateLimiter};
use larder_redis::RedisStore;
use larder_testing::RedisServer;
use proptest::prelude::*;

const NASTY: [&str; 24] = [
    "",
    " ",
    ":",
    "::",
    "a:b",
    "a",
    "b",
    "{a}",
    "{",
    "}",
    "{}",
    "\n",
    "\r\n",
    "\0",
    "a\0",
    "\0a",
    "%",
    "%00",
    "%3A",
    "a b",
    "*",
    "ünïcode",
    "larder:nasty:gcra:",
    "\u{7f}",
];

#[tokio::test]
async fn nasty_identities_have_a_quota_each() {
    let server = RedisServer::start().await.expect("a server");
    let redis = RedisStore::connect(&server.url()).await.expect("a store");
    let builders = [
        RateLimiter::<str>::builder(MemoryStore::new(1_000), "nasty"),
        RateLimiter::<str>::builder(redis, "nasty"),
    ];
    for builder in builders {
        let limiter = builder.quota(Quota::per_day(1)).fail_closed();
        let limiter = limiter.build().expect("a limiter");
        for allowed in [true, false] {
            for id in NASTY {
                let decision = limiter.check(id).await.expect("a decision");
                assert_eq!(decision.allowed, allowed, "{id:?}");
            }
        }
    }
    let keys: Vec<String> = server.command(&["KEYS", "*"]).await.expect("keys");
    assert_eq!(keys.len(), NASTY.len());
    assert!(keys.iter().all(|key| key.starts_with("larder:nasty:gcra:")));
    assert!(!keys.iter().any(|key| key.contains(['{', '}', '\n', '\0'])));
}

#[tokio::test]
async fn a_huge_identity_is_a_typed_error() {
    let limiter = RateLimiter::<str>::builder(MemoryStore::new(10), "huge")
        .quota(Quota::per_day(1))
        .build()
        .expect("a limiter");
    let longest = 1_024 - "larder:huge:gcra:".len();
    assert!(
        limiter
            .check(&"x".repeat(longest))
            .await
            .expect("a decision")
            .allowed
    );
    for len in [longest + 1, 1 << 20] {
        let id = "x".repeat(len);
        let results = [
            limiter.check(&id).await.err(),
            limiter.peek(&id).await.err(),
            limiter.refund(&id, 1).await.err(),
            limiter.reset(&id).await.err(),
        ];
        for error in results {
            assert_eq!(error.expect("an error").kind(), ErrorKind::IdentityTooLong);
        }
    }
}

#[tokio::test]
async fn identities_have_types() {
    let limiter = RateLimiter::<(u64, &str)>::builder(MemoryStore::new(10), "typed")
        .quota(Quota::per_day(1))
        .build()
        .expect("a limiter");
    for id in [(1, "read"), (1, "write"), (11, "read"), (1, "1:read")] {
        assert!(
            limiter.check(&id).await.expect("a decision").allowed,
            "{id:?}"
        );
        assert!(
            !limiter.check(&id).await.expect("a decision").allowed,
            "{id:?}"
        );
    }
}

fn id() -> impl Strategy<Value = (String, String)> {
    let part = || prop_oneof!["[a:%{}\\- \n\u{0}]{0,3}", ".{0,4}"];
    (part(), part())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn different_identities_don_t_meet(a in id(), b in id()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let limiter = RateLimiter::<(String, String)>::builder(MemoryStore::new(10), "pairs")
                .quota(Quota::per_day(1))
                .build()
                .expect("a limiter");
            assert!(limiter.check(&a).await.expect("a decision").allowed);
            assert_eq!(limiter.check(&b).await.expect("a decision").allowed, a != b);
        });
    }
}
