//! Services and requests to try a layer with.
#![allow(dead_code, reason = "each test uses a part")]

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use larder_memory::MemoryStore;
use larder_rate_limit::{Quota, RateLimiter};
use larder_tower::{Decision, KeyExtractor, Parts, RateLimitLayer};
use serde_json::Value;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};

pub(crate) type Echo = BoxCloneService<Request<()>, Response<Full<Bytes>>, Infallible>;

/// A service that answers with what is left by the decision it finds, or with "no decision".
pub(crate) fn echo() -> Echo {
    service_fn(|request: Request<()>| async move {
        let left = |decision: &Decision| decision.remaining.to_string();
        let decision = request.extensions().get::<Decision>().map(left);
        let body = decision.unwrap_or_else(|| "no decision".to_owned());
        Ok(Response::new(Full::from(body)))
    })
    .boxed_clone()
}

/// What a client gets.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().expect("text"))
    }

    pub(crate) fn problem(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        serde_json::from_str(&self.body).expect("JSON")
    }
}

pub(crate) async fn read<B>(response: Response<B>) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.into()).expect("text"),
    }
}

/// A request of this key's, through the layer to [`echo`].
pub(crate) async fn ask(layer: &RateLimitLayer, key: &str) -> Answer {
    let request = Request::builder().header("key", key).body(());
    send(layer.layer(echo()), request.expect("a request")).await
}

pub(crate) async fn send<S, B, R>(mut service: S, request: Request<B>) -> Answer
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let service = service.ready().await.expect("ready");
    read(service.call(request).await.expect("a response")).await
}

/// The key is the field `key`, as it is.
pub(crate) fn by_key() -> impl KeyExtractor + Copy {
    |request: &Parts| Some(request.headers.get("key")?.to_str().ok()?.to_owned())
}

pub(crate) fn limiter(quotas: impl IntoIterator<Item = Quota>) -> RateLimiter<str> {
    let builder = RateLimiter::builder(MemoryStore::new(1_000), "test");
    let builder = quotas
        .into_iter()
        .fold(builder, |builder, quota| builder.quota(quota));
    builder.build().expect("a limiter")
}

pub(crate) fn layer(quotas: impl IntoIterator<Item = Quota>) -> RateLimitLayer {
    RateLimitLayer::new(limiter(quotas), by_key()).expect("a layer")
}
