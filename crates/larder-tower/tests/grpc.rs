//! gRPC: a server and a client of tonic, over HTTP/2.

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{by_key, echo, layer, limiter};
use http::{Method, StatusCode};
use larder_memory::MemoryStore;
use larder_rate_limit::{Quota, RateLimiter, StoreErrorKind};
use larder_testing::FaultStore;
use larder_tower::{MissingKey, PeerIp, RateLimitLayer};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Status,
    transport::{
        Channel, Server,
        server::{TcpConnectInfo, TcpIncoming},
    },
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, ServiceExt};

type Health = HealthClient<Channel>;

/// A health service behind the layer, and a client of it.
async fn served(layer: RateLimitLayer) -> Health {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(layer).add_service(health);
    let incoming = TcpIncoming::from(listener);
    tokio::spawn(async move { server.serve_with_incoming(incoming).await });
    let channel = Channel::from_shared(format!("http://{address}")).expect("a URI");
    HealthClient::new(channel.connect().await.expect("a connection"))
}

async fn check(client: &mut Health, key: Option<&str>) -> Result<u64, Status> {
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(key) = key {
        let key = key.parse().expect("a value");
        request.metadata_mut().insert("key", key);
    }
    let response = client.check(request).await?;
    let left = response.metadata().get("ratelimit").expect("the field");
    let left = left.to_str().expect("text").strip_prefix(r#""daily";r="#);
    let digits = left.expect("its policy").split(';').next();
    Ok(digits.expect("a number").parse().expect("a number"))
}

#[tokio::test]
async fn calls_over_the_quota_are_resource_exhausted() {
    let layer = layer([Quota::per_day(2).named("daily")]);
    let mut client = served(layer).await;
    assert_eq!(check(&mut client, Some("a")).await.expect("admitted"), 1);
    assert_eq!(check(&mut client, Some("a")).await.expect("admitted"), 0);
    let refused = check(&mut client, Some("a")).await.expect_err("refused");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(
        refused
            .message()
            .starts_with("The request may come again in")
    );
    let metadata = refused.metadata();
    assert!(metadata.contains_key("ratelimit-policy"), "{metadata:?}");
    let pushback = metadata.get("grpc-retry-pushback-ms").expect("a time");
    let pushback: u64 = pushback.to_str().expect("text").parse().expect("ms");
    let half_a_day = Duration::from_secs(43_200).as_millis() as u64;
    assert!((half_a_day - 60_000..=half_a_day).contains(&pushback));
    assert_eq!(check(&mut client, Some("b")).await.expect("admitted"), 1);
}

#[tokio::test]
async fn the_peer_is_known() {
    let limiter = limiter([Quota::per_day(2).named("daily")]);
    let peer = PeerIp::new(|request| {
        let connection = request.extensions.get::<TcpConnectInfo>()?;
        Some(connection.remote_addr()?.ip())
    });
    let layer = RateLimitLayer::new(limiter.clone(), peer).expect("a layer");
    let mut client = served(layer).await;
    assert_eq!(check(&mut client, None).await.expect("admitted"), 1);
    let peek = limiter.peek("127.0.0.1").await.expect("a decision");
    assert_eq!(peek.remaining, 1);
}

#[tokio::test]
async fn a_cost_that_is_never_admitted_is_not_to_be_tried_again() {
    let limiter = RateLimiter::builder(MemoryStore::new(100), "grpc")
        .quota(Quota::per_day(2))
        .build()
        .expect("a limiter");
    let layer = RateLimitLayer::builder(limiter, by_key()).cost(|_request| 3);
    let mut client = served(layer.build().expect("a layer")).await;
    let refused = check(&mut client, Some("a")).await.expect_err("refused");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let pushback = refused.metadata().get("grpc-retry-pushback-ms");
    assert_eq!(pushback.expect("a time"), "-1");
}

#[tokio::test]
async fn other_refusals_have_their_codes() {
    let store = FaultStore::new(MemoryStore::new(100));
    let limiter = RateLimiter::builder(store.clone(), "grpc")
        .quota(Quota::per_day(2))
        .fail_closed()
        .build()
        .expect("a limiter");
    let keys = [
        (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
        (StatusCode::FORBIDDEN, Code::PermissionDenied),
    ];
    for (status, code) in keys {
        let layer = RateLimitLayer::builder(limiter.clone(), by_key())
            .missing_key(MissingKey::Refuse(status));
        let mut client = served(layer.build().expect("a layer")).await;
        let refused = check(&mut client, None).await.expect_err("refused");
        assert_eq!(refused.code(), code);
        let long = "x".repeat(2_000);
        let refused = check(&mut client, Some(&long)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    store.down(Some(StoreErrorKind::Unavailable));
    let layer = RateLimitLayer::new(limiter, by_key()).expect("a layer");
    let refused = check(&mut served(layer).await, Some("a")).await;
    assert_eq!(refused.expect_err("refused").code(), Code::Unavailable);
}

/// A cache might keep a 200.
#[tokio::test]
async fn what_is_no_call_is_refused_as_http() {
    let limiter = RateLimiter::builder(MemoryStore::new(100), "grpc")
        .quota(Quota::per_day(2))
        .build()
        .expect("a limiter");
    let layer = RateLimitLayer::new(limiter, by_key()).expect("a layer");
    let cases = [
        (Method::POST, "application/grpc", StatusCode::OK),
        (Method::POST, "application/grpc+proto", StatusCode::OK),
        (Method::GET, "application/grpc", StatusCode::BAD_REQUEST),
        (Method::POST, "application/grpcx", StatusCode::BAD_REQUEST),
        (
            Method::POST,
            "application/grpc-web",
            StatusCode::BAD_REQUEST,
        ),
    ];
    for (method, content_type, status) in cases {
        let request = http::Request::builder()
            .method(method)
            .header("content-type", content_type);
        let request = request.body(()).expect("a request");
        let response = layer.layer(echo()).oneshot(request).await;
        assert_eq!(
            response.expect("a response").status(),
            status,
            "{content_type}"
        );
    }
}
