//! A rate limit of an axum server, seen over HTTP: two servers with one quota, on the Redis at `REDIS_URL`, or one of its own.
//!
//! `cargo run -p larder-examples --example rate-limit`

use std::{net::SocketAddr, time::Duration};

use axum::{Router, http, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use larder_redis::RedisStore;
use larder_testing::RedisServer;
use larder_tower::{Decision, HeaderKey, Parts, Quota, RateLimitLayer, RateLimiter};
use tokio::net::TcpListener;

/// What every server of the fleet does.
async fn serve(redis_url: &str) -> anyhow::Result<SocketAddr> {
    // ANCHOR: layer
    // Ten times the default, for machines that are busy with other things: so long may a Redis that hangs hold a request.
    let store = RedisStore::builder(redis_url)?
        .deadline(Duration::from_secs(1))
        .connect()
        .await?;
    let limiter = RateLimiter::builder(store, "api")
        .quota(Quota::per_minute(3).named("burst"))
        .and(Quota::per_day(1_000).named("daily"))
        .build()?;
    let cost = |request: &Parts| match request.uri.path() {
        "/health" => 0,
        "/report" => 2,
        _ => 1,
    };
    // Clients choose this header: a real server takes a tenant that something further out has checked.
    let layer = RateLimitLayer::builder(limiter, HeaderKey::new("x-tenant")?)
        .cost(cost)
        .build()?;

    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/report", get(report))
        .route("/health", get(|| async { "well" }))
        .layer(layer);
    // ANCHOR_END: layer
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// Handlers find what was decided.
// ANCHOR: report
async fn report(axum::Extension(decision): axum::Extension<Decision>) -> String {
    format!("a report; {} left", decision.remaining)
}
// ANCHOR_END: report

/// Sends a request, and prints what comes back.
async fn ask(server: SocketAddr, path: &str, tenant: &str) -> anyhow::Result<Response<String>> {
    let mut request = Request::get(format!("http://{server}{path}"));
    if !tenant.is_empty() {
        request = request.header("x-tenant", tenant);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let (parts, body) = client
        .request(request.body(Empty::new())?)
        .await?
        .into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
    println!("GET {path} of {server} by {tenant:?}: {}", parts.status);
    for name in ["ratelimit-policy", "ratelimit", "retry-after"] {
        if let Some(value) = parts.headers.get(name) {
            println!("    {name}: {}", value.to_str()?);
        }
    }
    println!("    {body}\n");
    Ok(Response::from_parts(parts, body))
}

fn header<'a>(response: &'a Response<String>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The server is stopped when this is dropped.
    let mut own = None;
    let url = match std::env::var("REDIS_URL") {
        Ok(url) => url,
        Err(_unset) => own.insert(RedisServer::start().await?).url(),
    };
    let (a, b) = (serve(&url).await?, serve(&url).await?);
    // A tenant of this run's, so that it finds nothing spent.
    let tenant = format!("acme-{}", std::process::id());

    let first = ask(a, "/", &tenant).await?;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(
        header(&first, "ratelimit-policy"),
        Some(r#""burst";q=3;w=60, "daily";q=1000;w=86400"#)
    );
    assert_eq!(
        header(&first, "ratelimit"),
        Some(r#""burst";r=2;t=20, "daily";r=999;t=87"#)
    );

    let costly = ask(b, "/report", &tenant).await?;
    assert_eq!(
        costly.body(),
        "a report; 0 left",
        "the servers share the quota"
    );

    let denied = ask(a, "/", &tenant).await?;
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = header(&denied, "retry-after").unwrap_or_default().parse()?;
    assert!((1..=20).contains(&seconds), "there is one in every 20 s");
    assert!(denied.body().contains(r#""violated-policies":["burst"]"#));

    let other = ask(b, "/", &format!("{tenant}-2")).await?;
    assert_eq!(
        other.status(),
        StatusCode::OK,
        "everybody has a quota of his own"
    );

    let free = ask(a, "/health", "").await?;
    assert_eq!(
        (free.status(), header(&free, "ratelimit")),
        (StatusCode::OK, None)
    );

    let nobody = ask(a, "/", "").await?;
    assert_eq!(
        nobody.status(),
        StatusCode::BAD_REQUEST,
        "no way around the limit"
    );
    Ok(())
}
