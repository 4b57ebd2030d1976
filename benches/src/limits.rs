//! Rate limiting: what a decision costs.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use larder_memory::MemoryStore;
use larder_rate_limit::{Algorithm, Quota, RateLimiter, steps::Steps};
use larder_store::{Arg, Namespace};
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, aio::MultiplexedConnection};

use crate::{
    case::{Case, Group, Run, by_tasks, in_a_loop},
    rig::{KEYS, redis_store, unused},
    textbook_limit::TextbookLimit,
};

/// So high that nothing is refused.
const LIMIT: u64 = 1_000_000;
const ALGORITHMS: [(Algorithm, &str); 5] = [
    (Algorithm::Gcra, "larder GCRA"),
    (Algorithm::TokenBucket, "larder token bucket"),
    (Algorithm::SlidingCounter, "larder sliding window counter"),
    (Algorithm::SlidingLog, "larder sliding window log"),
    (Algorithm::FixedWindow, "larder fixed window"),
];
const TASKS: u64 = 64;
/// How many identities hot ones are.
const HOT: u64 = 8;

type Limiter = &'static RateLimiter<u64>;

/// Decisions over the memory store, beside governor.
///
/// # Errors
/// Never with the settings used here.
pub fn memory() -> Result<Vec<Case>> {
    let quota = NonZeroU32::new(LIMIT as u32).context("a quota above zero")?;
    let quota = governor::Quota::per_second(quota);
    let governor: &'static governor::DefaultKeyedRateLimiter<u64> =
        Box::leak(Box::new(governor::RateLimiter::keyed(quota)));
    let governor = move |number| {
        let checked = governor.check_key(&(number % KEYS));
        assert!(checked.is_ok(), "nothing is refused here");
        std::future::ready(())
    };
    let group = Group {
        name: "rate-limit/memory".to_owned(),
        store: "memory",
        tasks: 1,
        bytes: 0,
        baseline: "governor, keyed",
    };
    let mut cases = vec![
        group.case("governor, keyed", "raw", in_a_loop(governor)),
        group.case("governor, keyed (A/A)", "raw", in_a_loop(governor)),
    ];
    for (algorithm, name) in ALGORITHMS {
        let limiter = limiter(MemoryStore::new(10 * KEYS), algorithm)?;
        let check = move |number: u64| async move { admit(limiter, number % KEYS).await };
        cases.push(group.case(name, "rate-limit", in_a_loop(check)));
    }
    Ok(cases)
}

/// Decisions over Redis by many tasks, each identity asked for by few: beside the same script through the bare client, and the
/// textbook's.
///
/// # Errors
/// Those of Redis.
pub async fn redis(url: &str) -> Result<Vec<Case>> {
    let mut runs = vec![
        ("raw EVALSHA", "raw", raw(url, KEYS, false).await?),
        ("raw EVALSHA (A/A)", "raw", raw(url, KEYS, false).await?),
        ("raw EVALSHA, nodelay", "raw", raw(url, KEYS, true).await?),
        ("textbook sorted set", "textbook", textbook(url).await?),
    ];
    for (algorithm, name) in ALGORITHMS {
        let limiter = limiter(redis_store(url).await?, algorithm)?;
        let check = move |number: u64| async move { admit(limiter, number % KEYS).await };
        runs.push((name, "rate-limit", by_tasks(TASKS, check)));
    }
    Ok(group(&format!("{TASKS} tasks")).cases(runs))
}

/// Decisions over Redis by many tasks that ask for the same few identities.
///
/// # Errors
/// Those of Redis.
pub async fn redis_hot(url: &str) -> Result<Vec<Case>> {
    let leased = RateLimiter::builder(redis_store(url).await?, &unused("leased"))
        .quota(quota(Algorithm::Gcra))
        .leased(Duration::from_secs(1))
        .fail_closed()
        .build()?;
    let leased: Limiter = Box::leak(Box::new(leased));
    let limiter = limiter(redis_store(url).await?, Algorithm::Gcra)?;
    let check = move |number: u64| async move { admit(limiter, number % HOT).await };
    let check_leased = move |number: u64| async move { admit(leased, number % HOT).await };
    Ok(
        group(&format!("{TASKS} tasks, {HOT} identities")).cases(vec![
            ("raw EVALSHA", "raw", raw(url, HOT, false).await?),
            ("raw EVALSHA (A/A)", "raw", raw(url, HOT, false).await?),
            ("larder GCRA", "rate-limit", by_tasks(TASKS, check)),
            (
                "larder GCRA, leased",
                "rate-limit",
                by_tasks(TASKS, check_leased),
            ),
        ]),
    )
}

fn group(name: &str) -> Group {
    Group {
        name: format!("rate-limit/redis/{name}"),
        store: "redis",
        tasks: TASKS,
        bytes: 0,
        baseline: "raw EVALSHA",
    }
}

/// A log can't take more, and its identities see fewer requests than that in a second.
fn quota(algorithm: Algorithm) -> Quota {
    match algorithm {
        Algorithm::SlidingLog => Quota::new(1_000, Duration::from_millis(1)),
        _ => Quota::per_second(LIMIT),
    }
}

/// Leaked, so that no case pays for sharing it.
fn limiter(
    store: impl Into<std::sync::Arc<dyn larder_store::Store>>,
    algorithm: Algorithm,
) -> Result<Limiter> {
    let limiter = RateLimiter::builder(store, &unused("limit"))
        .algorithm(algorithm)
        .quota(quota(algorithm))
        .fail_closed()
        .build()?;
    Ok(Box::leak(Box::new(limiter)))
}

async fn admit(limiter: Limiter, id: u64) {
    let decision = limiter.check(&id).await;
    let decision = decision.unwrap_or_else(|error| panic!("a check failed: {error:?}"));
    assert!(decision.allowed, "nothing is refused here");
}

/// The script of GCRA with the same arguments, its answer looked at. The client's default is to wait for acknowledgements, which
/// on one machine saves packets, and over a network costs up to a round trip; `nodelay` sends at once, as the store does.
async fn raw(url: &str, identities: u64, nodelay: bool) -> Result<Run> {
    let update = Steps::new(Algorithm::Gcra, vec![quota(Algorithm::Gcra)])?.update(1);
    let names = Namespace::new(&unused("raw"), 1)?;
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(5)));
    let info = url.into_connection_info()?;
    let tcp = info.tcp_settings().clone().set_nodelay(nodelay);
    let connection: MultiplexedConnection = Client::open(info.set_tcp_settings(tcp))?
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let mut loading = connection.clone();
    let loaded: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg(update.script().source())
        .query_async(&mut loading)
        .await?;
    anyhow::ensure!(loaded == update.script().sha1(), "another script");
    Ok(by_tasks(TASKS, move |number| {
        let (update, names, mut connection) = (update.clone(), names.clone(), connection.clone());
        async move {
            let key = names.key(&(number % identities));
            let key = key.unwrap_or_else(|error| panic!("a key: {error}"));
            let mut command = redis::cmd("EVALSHA");
            command
                .arg(update.script().sha1())
                .arg(1)
                .arg(key.as_bytes());
            for arg in update.args() {
                match arg {
                    Arg::Int(int) => command.arg(int),
                    Arg::Bytes(bytes) => command.arg(&bytes[..]),
                };
            }
            let reply: Result<(u64, i64), _> = command.query_async(&mut connection).await;
            let (_, level) = reply.unwrap_or_else(|error| panic!("EVALSHA failed: {error}"));
            assert!(level >= 0, "nothing is refused here");
        }
    }))
}

async fn textbook(url: &str) -> Result<Run> {
    let window = Duration::from_secs(1);
    let textbook = TextbookLimit::connect(url, &unused("textbook"), LIMIT, window).await;
    let textbook = textbook.map_err(anyhow::Error::from_boxed)?;
    Ok(by_tasks(TASKS, move |number| {
        let textbook = textbook.clone();
        async move {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let admitted = textbook.check(number % KEYS, now.as_millis() as u64).await;
            assert!(
                admitted.unwrap_or_else(|error| panic!("a textbook check failed: {error}")),
                "nothing is refused here"
            );
        }
    }))
}
