//! Several processes, one identity, a real Redis.
//!
//! The processes are this very test binary: a test that starts others tells them what to do by their environment.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use larder_rate_limit::{Algorithm, Quota, RateLimiter};
use larder_redis::RedisStore;
use larder_testing::RedisServer;
use redis::AsyncCommands;

const PROCESSES: usize = 4;
const TASKS: usize = 64;
/// Of each task.
const REQUESTS: usize = 12;
const YEAR: Duration = Duration::from_secs(31_536_000);
/// How long the processes with leased quota go on, and how long their blocks live.
const LEASED: Duration = Duration::from_secs(2);
const LIFETIME: Duration = Duration::from_millis(200);

async fn limiter(url: &str, name: &str) -> RateLimiter<str> {
    let (algorithm, quotas) = quotas(name);
    let store = RedisStore::builder(url)
        .expect("a URL")
        .deadline(Duration::from_secs(10))
        .connect()
        .await
        .expect("a store");
    let builder = RateLimiter::builder(store, "fleet").algorithm(algorithm);
    let builder = quotas
        .into_iter()
        .fold(builder, |builder, quota| builder.quota(quota));
    let builder = match name {
        "leased" => builder.leased(LIFETIME),
        _ => builder,
    };
    builder.fail_closed().build().expect("a limiter")
}

/// Quotas that give nothing back while the test runs, and one that does.
fn quotas(name: &str) -> (Algorithm, Vec<Quota>) {
    let year = |limit| Quota::new(limit, YEAR);
    match name {
        "gcra" => (Algorithm::Gcra, vec![year(1_000)]),
        "bucket" => (Algorithm::TokenBucket, vec![year(1_000)]),
        "counter" => (Algorithm::SlidingCounter, vec![year(1_000)]),
        "log" => (Algorithm::SlidingLog, vec![year(1_000)]),
        "fixed" => (Algorithm::FixedWindow, vec![year(1_000)]),
        "several" => (Algorithm::Gcra, vec![year(2_000), year(700), year(1_500)]),
        "leased" => (Algorithm::Gcra, vec![Quota::per_second(2_000).burst(400)]),
        _ => (Algorithm::Gcra, vec![Quota::per_second(200).burst(100)]),
    }
}

fn start(server: &RedisServer, quotas: &str) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "worker", "--nocapture"])
        .env("LARDER_REDIS", server.url())
        .env("LARDER_QUOTAS", quotas)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process")
}

/// How many requests a process had admitted.
fn admitted(child: Child) -> u64 {
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "a worker failed");
    let lines = BufReader::new(&output.stdout[..]).lines();
    lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("admitted ")?.parse().ok())
        .expect("a count")
}

/// What the processes do: say that they are ready, wait for the start, and have many tasks ask for the same identity.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Ok(url) = std::env::var("LARDER_REDIS") else {
        // Not started by a test of this file.
        return;
    };
    let name = std::env::var("LARDER_QUOTAS").expect("quotas");
    let limiter = limiter(&url, &name).await;
    barrier(&url).await;
    let end = Instant::now() + LEASED;
    let tasks = (0..TASKS).map(|_| {
        let (limiter, leased) = (limiter.clone(), name == "leased");
        tokio::spawn(async move {
            let more = |requests| match leased {
                true => Instant::now() < end,
                false => requests < REQUESTS,
            };
            let mut requests = 0;
            while more(requests) {
                requests += 1;
                let decision = limiter.check("everybody").await.expect("a decision");
                if leased && !decision.allowed {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            requests
        })
    });
    let mut requests = 0;
    for task in tasks.collect::<Vec<_>>() {
        requests += task.await.expect("a task");
    }
    let stats = limiter.stats();
    assert_eq!(stats.allowed + stats.denied, requests as u64);
    println!("admitted {}", stats.allowed);
}

/// Says "ready" and waits for "go".
async fn barrier(url: &str) {
    let client = redis::Client::open(url).expect("a URL");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("a connection");
    let _: () = connection.lpush("ready", 1).await.expect("ready");
    let _: Vec<String> = connection.blpop("go", 0.0).await.expect("go");
}

/// Starts the processes, lets them go at once, and sums up what they had admitted.
async fn hammer(server: &RedisServer, quotas: &str, processes: usize) -> u64 {
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("a connection");
    let _: () = redis::cmd("FLUSHALL")
        .query_async(&mut connection)
        .await
        .expect("FLUSHALL");
    let started: Vec<_> = (0..processes).map(|_| start(server, quotas)).collect();
    while connection.llen::<_, usize>("ready").await.expect("ready") < processes {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _: () = connection
        .lpush("go", vec![1; processes])
        .await
        .expect("go");
    let sum = move || started.into_iter().map(admitted).sum();
    tokio::task::spawn_blocking(sum).await.expect("a sum")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_admitted_exactly_the_quota() {
    let server = RedisServer::start().await.expect("a server");
    for (name, quota) in [
        ("gcra", 1_000),
        ("bucket", 1_000),
        ("counter", 1_000),
        ("log", 1_000),
        ("fixed", 1_000),
        ("several", 700),
    ] {
        let admitted = hammer(&server, name, PROCESSES).await;
        println!("{name}: {admitted} of {}", PROCESSES * TASKS * REQUESTS);
        assert_eq!(admitted, quota, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_admitted_the_burst_and_the_rate() {
    let server = RedisServer::start().await.expect("a server");
    let started = Instant::now();
    let admitted = hammer(&server, "rate", PROCESSES).await;
    let most = 100 + (200.0 * started.elapsed().as_secs_f64()) as u64;
    println!("{admitted} admitted, {most} at the most");
    assert!((100..=most).contains(&admitted), "{admitted} of {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_with_leased_quota_stay_within_its_bound() {
    let server = RedisServer::start().await.expect("a server");
    let started = Instant::now();
    let admitted = hammer(&server, "leased", 8).await;
    let most = 400 + (2_000.0 * (started.elapsed() + LIFETIME).as_secs_f64()) as u64;
    let least = (2_000.0 * LEASED.as_secs_f64() / 2.0) as u64;
    println!("{admitted} admitted, {most} at the most");
    assert!((least..=most).contains(&admitted), "{admitted} of {most}");
}
