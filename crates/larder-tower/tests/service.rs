//! The service's side: readiness, errors, bodies, cancellation, keys that are missing, a store that is down.

mod common;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use common::{ask, by_key, echo, layer, limiter, read, send};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use larder_memory::MemoryStore;
use larder_rate_limit::{Quota, RateLimiter, RateLimiterBuilder, StoreErrorKind};
use larder_testing::{Fault, FaultStore, Gate, Operation, drop_at_await};
use larder_tower::{MissingKey, RateLimit, RateLimitLayer, Refusal};
use tower::{Layer, Service, ServiceExt, service_fn};

fn request(key: &str) -> Request<()> {
    let request = Request::builder().header("key", key).body(());
    request.expect("a request")
}

/// Panics if it is called without being made ready: each clone, and each time.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request<()>> for Strict {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called before it was ready"
        );
        self.calls.fetch_add(1, SeqCst);
        ready(Ok(Response::new(Empty::new())))
    }
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_called() {
    let strict = Strict::default();
    let mut service = layer([Quota::per_day(3)]).layer(strict.clone());
    let mut responses = Vec::new();
    for _ in 0..5 {
        // The next is asked before the last has its answer.
        let service = service.ready().await.expect("ready");
        responses.push(service.call(request("a")));
    }
    let mut admitted = 0;
    for response in responses {
        let response = response.await.expect("a response");
        admitted += usize::from(response.status() == StatusCode::OK);
    }
    assert_eq!(admitted, 3);
    assert_eq!(
        strict.calls.load(SeqCst),
        3,
        "who was refused did not get there"
    );
    // And where the limiter is not asked.
    let free = RateLimitLayer::builder(limiter([Quota::per_day(1)]), by_key())
        .cost(|_| 0)
        .build();
    send(free.expect("a layer").layer(strict.clone()), request("a")).await;
    assert_eq!(strict.calls.load(SeqCst), 4);
}

#[tokio::test]
async fn readiness_and_errors_are_the_inner_services() {
    #[derive(Debug, Clone)]
    struct NeverReady;
    impl Service<Request<()>> for NeverReady {
        type Response = Response<Empty<Bytes>>;
        type Error = &'static str;
        type Future = Ready<Result<Self::Response, &'static str>>;
        fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("not ready"))
        }
        fn call(&mut self, _request: Request<()>) -> Self::Future {
            ready(Err("called"))
        }
    }
    let layer = layer([Quota::per_day(3)]);
    let mut service = layer.layer(NeverReady);
    assert_eq!(service.ready().await.err(), Some("not ready"));
    let failing = service_fn(|_: Request<()>| async { Err::<Response<Empty<Bytes>>, _>("failed") });
    let failed = layer.layer(failing).oneshot(request("a")).await;
    assert_eq!(failed.err(), Some("failed"));
    // It was counted all the same.
    assert_eq!(ask(&layer, "a").await.body, "1");
}

/// As tower-http's CORS layer wants it.
#[test]
fn a_layer_further_out_can_make_an_empty_body() {
    let body = larder_tower::RateLimitBody::<Full<Bytes>>::default();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
}

/// As gRPC has them: frames, then trailers.
#[tokio::test]
async fn bodies_and_trailers_pass_untouched() {
    let service = service_fn(|_: Request<()>| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = ["one", "two"].map(|data| Frame::data(Bytes::from(data)));
        let frames = frames
            .into_iter()
            .chain([Frame::trailers(trailers)])
            .map(Ok::<_, Infallible>);
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Ok::<_, Infallible>(
            Response::builder()
                .header("x", "y")
                .body(body)
                .expect("a response"),
        )
    });
    let response = layer([Quota::per_day(3)])
        .layer(service)
        .oneshot(request("a"))
        .await;
    let response = response.expect("a response");
    assert_eq!(response.headers()["x"], "y");
    assert!(response.headers().contains_key("ratelimit"));
    let mut body = response.into_body();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame.expect("a frame"));
    }
    assert_eq!(frames.len(), 3, "frame by frame");
    assert_eq!(
        frames[0].data_ref().map(|data| &data[..]),
        Some(&b"one"[..])
    );
    assert_eq!(
        frames[1].data_ref().map(|data| &data[..]),
        Some(&b"two"[..])
    );
    assert_eq!(
        frames[2].trailers_ref().expect("trailers")["grpc-status"],
        "0"
    );
}

/// As stacks of axum and tonic want them, whose bodies are `Send` and no more.
#[test]
fn services_and_their_futures_can_be_sent() {
    use http_body_util::combinators::UnsyncBoxBody;
    type Unsync = UnsyncBoxBody<Bytes, Infallible>;
    fn in_a_stack<S>(mut service: S, body: Unsync)
    where
        S: Service<Request<Unsync>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Response: Send + 'static,
    {
        drop(service.call(Request::new(body)));
    }
    let service = service_fn(|request: Request<Unsync>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let body = Empty::new().boxed_unsync();
    in_a_stack(layer([Quota::per_day(1)]).layer(service), body);
}

#[tokio::test]
async fn bodies_say_how_long_they_are() {
    let sized = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::from("four")))
    });
    let layer = layer([Quota::per_day(1)]);
    let mut lengths = Vec::new();
    for _ in 0..2 {
        let response = layer
            .layer(sized)
            .oneshot(request("a"))
            .await
            .expect("a response");
        let length = response.body().size_hint().exact().expect("known");
        assert!(!response.body().is_end_stream());
        lengths.push((length, read(response).await.body.len() as u64));
    }
    assert_eq!(lengths[0], (4, 4));
    assert_eq!(lengths[1].0, lengths[1].1);
}

#[tokio::test]
async fn a_response_that_is_dropped_was_counted_at_most_once() {
    let store = FaultStore::new(MemoryStore::new(100));
    let limiter = RateLimiter::builder(store.clone(), "test")
        .quota(Quota::per_day(10))
        .build();
    let limiter = limiter.expect("a limiter");
    let strict = Strict::default();
    let layer = RateLimitLayer::new(limiter.clone(), by_key()).expect("a layer");
    // It is never polled.
    drop(layer.layer(strict.clone()).oneshot(request("a")));
    assert!(store.operations().is_empty());
    // It waits for the store.
    let gate = Gate::new();
    store.inject(Operation::Update("gcra"), Fault::Wait(gate));
    assert!(drop_at_await(0, layer.layer(strict.clone()).oneshot(request("a"))).await);
    assert_eq!(strict.calls.load(SeqCst), 0, "the service was not asked");
    assert!(store.operations().len() <= 1);
    // It waits for the service.
    let pending = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let before = limiter.peek("a").await.expect("a decision").remaining;
    let _ = store.operations();
    assert!(drop_at_await(0, layer.layer(pending).oneshot(request("a"))).await);
    assert_eq!(store.operations(), [Operation::Update("gcra")]);
    assert_eq!(
        limiter.peek("a").await.expect("a decision").remaining,
        before - 1
    );
}

#[tokio::test]
async fn a_request_costs_what_the_closure_says() {
    let cost = |request: &larder_tower::Parts| {
        let length = request
            .headers
            .get("content-length")
            .and_then(|length| length.to_str().ok());
        length.and_then(|length| length.parse().ok()).unwrap_or(0)
    };
    let layer = RateLimitLayer::builder(limiter([Quota::per_day(100)]), by_key())
        .cost(cost)
        .build();
    let layer = layer.expect("a layer");
    let of = |length: &str| {
        let request = Request::builder()
            .header("key", "a")
            .header("content-length", length)
            .body(());
        send(layer.layer(echo()), request.expect("a request"))
    };
    assert_eq!(of("60").await.body, "40");
    assert_eq!(of("41").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(of("40").await.body, "0");
    let free = of("0").await;
    assert_eq!(
        (free.body.as_str(), free.header("ratelimit")),
        ("no decision", None)
    );
    // Nor is a key needed then.
    assert_eq!(
        send(layer.layer(echo()), Request::new(())).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_request_without_a_key_is_refused() {
    let layer = layer([Quota::per_day(1)]);
    for request in [Request::new(()), request("")] {
        let answer = send(layer.layer(echo()), request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(answer.header("ratelimit"), None);
        let problem = answer.problem();
        assert_eq!(
            (&problem["type"], &problem["title"]),
            (&"about:blank".into(), &"Bad Request".into())
        );
        assert_eq!(problem.get("violated-policies"), None);
    }
}

#[tokio::test]
async fn what_is_done_without_a_key_can_be_chosen() {
    let with = |missing| {
        let builder = RateLimitLayer::builder(limiter([Quota::per_day(2)]), by_key());
        builder.missing_key(missing).build().expect("a layer")
    };
    let without_key = |layer: &RateLimitLayer| send(layer.layer(echo()), Request::new(()));
    let refused = with(MissingKey::Refuse(StatusCode::UNAUTHORIZED));
    assert_eq!(without_key(&refused).await.status, StatusCode::UNAUTHORIZED);
    let allowed = with(MissingKey::Allow);
    for _ in 0..5 {
        let answer = without_key(&allowed).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit")),
            (StatusCode::OK, None)
        );
    }
    let shared = with(MissingKey::Share);
    assert_eq!(ask(&shared, "a").await.body, "1");
    assert_eq!(without_key(&shared).await.body, "1", "its own quota");
    assert_eq!(ask(&shared, "").await.body, "0", "an empty key is none");
    assert_eq!(
        without_key(&shared).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(ask(&shared, "a").await.body, "0");
}

fn failing(
    change: impl Fn(RateLimiterBuilder<str>) -> RateLimiterBuilder<str>,
) -> (FaultStore, RateLimiter<str>) {
    let store = FaultStore::new(MemoryStore::new(100));
    let builder = RateLimiter::builder(store.clone(), "test").quota(Quota::per_day(8));
    (store, change(builder).build().expect("a limiter"))
}

#[tokio::test]
async fn open_passes_without_the_fields() {
    let (store, limiter) = failing(RateLimiterBuilder::fail_open);
    let layer = RateLimitLayer::builder(limiter, by_key())
        .legacy_headers(true)
        .build()
        .expect("a layer");
    store.down(Some(StoreErrorKind::Unavailable));
    let answer = ask(&layer, "a").await;
    assert_eq!(answer.status, StatusCode::OK);
    let told = answer
        .headers
        .keys()
        .filter(|name| name.as_str().contains("ratelimit"));
    assert_eq!(told.count(), 0, "nothing is known: {:?}", answer.headers);
}

#[tokio::test]
async fn locally_the_fields_are_of_the_share() {
    let (store, limiter) = failing(|builder| builder.fail_local(0.25));
    let layer = RateLimitLayer::new(limiter, by_key()).expect("a layer");
    store.down(Some(StoreErrorKind::Unavailable));
    assert_eq!(
        ask(&layer, "a").await.header("ratelimit"),
        Some(r#""default";r=1;t=43200"#)
    );
    assert_eq!(
        ask(&layer, "a").await.header("ratelimit"),
        Some(r#""default";r=0;t=43200"#)
    );
    assert_eq!(ask(&layer, "a").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn closed_is_503_or_what_was_chosen() {
    let (store, limiter) = failing(RateLimiterBuilder::fail_closed);
    store.down(Some(StoreErrorKind::Unavailable));
    let layer = RateLimitLayer::new(limiter.clone(), by_key()).expect("a layer");
    let answer = ask(&layer, "a").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("ratelimit"), None);
    assert_eq!(answer.problem()["title"], "Service Unavailable");
    let chosen =
        RateLimitLayer::builder(limiter, by_key()).error_status(StatusCode::INTERNAL_SERVER_ERROR);
    let answer = ask(&chosen.build().expect("a layer"), "a").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

/// Or a long key would be the way around a limiter that fails open.
#[tokio::test]
async fn a_key_that_is_too_long_is_the_clients_mistake() {
    let (_, limiter) = failing(RateLimiterBuilder::fail_open);
    let builder = RateLimitLayer::builder(limiter, by_key()).missing_key(MissingKey::Allow);
    let answer = ask(&builder.build().expect("a layer"), &"x".repeat(2_000)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(!answer.body.contains("xxx"));
}

#[tokio::test]
async fn refusals_can_have_responses_of_ones_own() {
    let layer = RateLimitLayer::builder(limiter([Quota::per_day(1)]), by_key())
        .on_refusal(|refusal, request, response| {
            let Refusal::Quota(decision) = refusal else {
                return response;
            };
            let text = format!("{} {}", request.uri, decision.limit);
            response.map(|_problem| text.into())
        })
        .build()
        .expect("a layer");
    assert_eq!(ask(&layer, "a").await.status, StatusCode::OK);
    let answer = ask(&layer, "a").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.body, "/ 1");
    assert_eq!(answer.header("retry-after"), Some("86400"));
    let missing = send(layer.layer(echo()), Request::new(())).await;
    assert_eq!(missing.problem()["status"], 400);
}

#[tokio::test]
async fn nothing_that_is_printed_has_a_key() {
    let layer = RateLimitLayer::builder(limiter([Quota::per_day(1)]), by_key())
        .partition_key(|key| key.as_bytes().to_vec());
    let builder = format!("{layer:?}");
    let layer = layer.build().expect("a layer");
    let mut service: RateLimit<Strict> = layer.layer(Strict::default());
    let response = service
        .ready()
        .await
        .expect("ready")
        .call(request("secret"));
    let printed = format!("{builder} {layer:?} {service:?} {response:?}");
    assert!(!printed.contains("secret"), "{printed}");
    response.await.expect("a response");
    let refused = ask(&layer, "secret").await;
    assert!(!refused.body.contains("secret"));
}
