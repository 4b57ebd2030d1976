//! Real HTTP, real servers, a real Redis.
//!
//! Servers of a fleet are processes: this very test binary, told what to do by its environment.

mod common;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, routing::get};
use bytes::Bytes;
use common::{Answer, by_key};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use larder_rate_limit::{Quota, RateLimiter, RateLimiterBuilder};
use larder_redis::RedisStore;
use larder_testing::RedisServer;
use larder_tower::{Decision, KeyExtractor, Parts, PeerIp, RateLimitLayer, XForwardedFor};
use tokio::net::TcpListener;

const SERVERS: usize = 3;
const CONNECTIONS: usize = 64;
/// On each connection.
const REQUESTS: usize = 12;
const QUOTA: u64 = 500;

/// One connection, or as many as it has requests under way.
type Http = Client<hyper_util::client::legacy::connect::HttpConnector, Empty<Bytes>>;

fn client() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn get_from(client: &Http, address: SocketAddr, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(format!("http://{address}/"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::new()).expect("a request");
    common::read(client.request(request).await.expect("a response")).await
}

async fn limiter(url: &str, quota: Quota) -> RateLimiterBuilder<str> {
    let builder = RedisStore::builder(url).expect("a URL");
    let store = builder.deadline(Duration::from_secs(10)).connect().await;
    RateLimiter::builder(store.expect("a store"), "api").quota(quota)
}

/// Answers with what is left by the decision that the handler sees.
fn app(layer: RateLimitLayer) -> Router {
    let handler = |request: axum::extract::Request| async move {
        let left = |decision: &Decision| decision.remaining.to_string();
        request
            .extensions()
            .get::<Decision>()
            .map_or_else(String::new, left)
    };
    Router::new().route("/", get(handler)).layer(layer)
}

/// A server of this process.
async fn serve(layer: RateLimitLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = app(layer).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// What a server of a fleet does, until its input ends: with the one that started it, however that ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server() {
    let Ok(url) = std::env::var("LARDER_REDIS") else {
        // Not started by a test of this file.
        return;
    };
    let quota = Quota::new(QUOTA, Duration::from_secs(31_536_000)).named("yearly");
    let limiter = limiter(&url, quota)
        .await
        .fail_closed()
        .build()
        .expect("a limiter");
    let layer = RateLimitLayer::new(limiter, by_key()).expect("a layer");
    println!("\naddress {}", serve(layer).await);
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    ended.await.expect("waited").expect("an end");
}

/// A server in a process of its own, which is killed when this is dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(redis: &RedisServer) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "server", "--nocapture"])
            .env("LARDER_REDIS", redis.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let address = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("address ")?.parse().ok());
        Self {
            child,
            address: address.expect("an address"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What `RateLimit` says is left.
fn remaining(answer: &Answer) -> u64 {
    let field = answer.header("ratelimit").expect("the field");
    let rest = field.strip_prefix(r#""yearly";r="#).expect("its policy");
    let digits = rest.split(';').next().expect("a number");
    digits.parse().expect("a number")
}

fn seconds(answer: &Answer) -> u64 {
    let seconds = answer.header("retry-after").expect("a time");
    seconds.parse().expect("whole seconds")
}

/// Every server, every connection: together exactly the quota, each unit of it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_admits_exactly_the_quota() {
    let redis = RedisServer::start().await.expect("a server");
    let servers: Vec<_> = (0..SERVERS).map(|_| Process::start(&redis)).collect();
    let connections = (0..CONNECTIONS).map(|connection| {
        let address = servers[connection % SERVERS].address;
        tokio::spawn(async move {
            let client = client();
            let mut answers = Vec::new();
            for _ in 0..REQUESTS {
                answers.push(get_from(&client, address, &[("key", "everybody")]).await);
            }
            answers
        })
    });
    let mut left = BTreeSet::new();
    let mut denied = 0;
    for connection in connections.collect::<Vec<_>>() {
        for answer in connection.await.expect("answers") {
            assert_eq!(
                answer.header("ratelimit-policy"),
                Some(r#""yearly";q=500;w=31536000"#)
            );
            match answer.status {
                StatusCode::OK => {
                    assert_eq!(
                        answer.body,
                        remaining(&answer).to_string(),
                        "the handler's decision"
                    );
                    assert!(left.insert(remaining(&answer)), "admitted twice");
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    denied += 1;
                    assert_eq!(remaining(&answer), 0);
                    assert!((1..=63_072).contains(&seconds(&answer)), "{answer:?}");
                    let problem = answer.problem();
                    assert_eq!(problem["violated-policies"], serde_json::json!(["yearly"]));
                }
                _ => panic!("{answer:?}"),
            }
        }
    }
    println!("{} admitted, {denied} denied", left.len());
    assert_eq!(left, (0..QUOTA).collect());
    assert_eq!(denied, CONNECTIONS * REQUESTS - 500);
}

#[tokio::test]
async fn who_comes_when_told_is_admitted() {
    let redis = RedisServer::start().await.expect("a server");
    let quota = Quota::new(1, Duration::from_millis(200)).named("yearly");
    let limiter = limiter(&redis.url(), quota)
        .await
        .fail_closed()
        .build()
        .expect("a limiter");
    let address = serve(RateLimitLayer::new(limiter, by_key()).expect("a layer")).await;
    let client = client();
    let mut denied = get_from(&client, address, &[("key", "a")]).await;
    while denied.status == StatusCode::OK {
        denied = get_from(&client, address, &[("key", "a")]).await;
    }
    assert_eq!(seconds(&denied), 1, "0.2 s, rounded up");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        get_from(&client, address, &[("key", "a")]).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_redis_that_is_gone_is_as_the_limiter_says() {
    let redis = RedisServer::start().await.expect("a server");
    let quota = Quota::per_day(1).named("yearly");
    let open = limiter(&redis.url(), quota.clone())
        .await
        .fail_open()
        .build();
    let open =
        serve(RateLimitLayer::new(open.expect("a limiter"), by_key()).expect("a layer")).await;
    let closed = limiter(&redis.url(), quota).await.fail_closed().build();
    let closed =
        serve(RateLimitLayer::new(closed.expect("a limiter"), by_key()).expect("a layer")).await;
    let client = client();
    assert_eq!(
        get_from(&client, open, &[("key", "a")]).await.status,
        StatusCode::OK
    );
    assert_eq!(
        get_from(&client, closed, &[("key", "a")]).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    redis.kill().await.expect("killed");
    // Another identity, since what was refused is remembered for a while.
    for _ in 0..3 {
        let passed = get_from(&client, open, &[("key", "a")]).await;
        assert_eq!(
            (passed.status, passed.header("ratelimit")),
            (StatusCode::OK, None)
        );
        let refused = get_from(&client, closed, &[("key", "b")]).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(seconds(&refused), 1);
        assert_eq!(refused.problem()["status"], 503);
    }
    redis.restart().await.expect("restarted");
    // It kept nothing, so that there is one again.
    while get_from(&client, closed, &[("key", "b")]).await.status == StatusCode::SERVICE_UNAVAILABLE
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        get_from(&client, closed, &[("key", "b")]).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
}

/// The key that a request was counted for.
async fn key_of(extractor: impl KeyExtractor, lines: &[(&str, &str)]) -> Option<String> {
    let limiter = common::limiter([Quota::per_day(9)]);
    let layer = RateLimitLayer::builder(limiter.clone(), extractor)
        .build()
        .expect("a layer");
    let answer = get_from(&client(), serve(layer).await, lines).await;
    for key in ["127.0.0.1", "192.0.2.1", "10.6.6.6"] {
        if limiter.peek(key).await.expect("a decision").remaining == 8 {
            return Some(key.to_owned());
        }
    }
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    None
}

#[tokio::test]
async fn keys_are_found_in_real_requests() {
    let peer = PeerIp::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip());
    let claimed = [
        ("x-forwarded-for", "10.6.6.6"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    assert_eq!(
        key_of(peer.clone(), &claimed).await.as_deref(),
        Some("127.0.0.1")
    );
    let proxy = XForwardedFor::trusted_hops(1).expect("a hop");
    assert_eq!(key_of(proxy, &claimed).await.as_deref(), Some("192.0.2.1"));
    assert_eq!(key_of(proxy, &[]).await, None);
    assert_eq!(
        key_of(proxy.or(peer), &[]).await.as_deref(),
        Some("127.0.0.1")
    );
    let closure = |_: &Parts| Some("10.6.6.6".to_owned());
    assert_eq!(key_of(closure, &[]).await.as_deref(), Some("10.6.6.6"));
}
