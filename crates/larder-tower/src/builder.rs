//! Settings of a layer.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use larder_rate_limit::RateLimiter;

use crate::{
    HeaderFormat, KeyExtractor, MissingKey, RateLimitLayer, Refusal, Result,
    headers::{HeaderOptions, Headers},
    settings::{Cost, OnRefusal, Settings},
};

/// Settings of a [`RateLimitLayer`]; from [`RateLimitLayer::builder`].
#[must_use = "a builder does nothing until it builds"]
pub struct RateLimitLayerBuilder {
    limiter: RateLimiter<str>,
    key: Arc<dyn KeyExtractor>,
    cost: Option<Arc<Cost>>,
    missing_key: MissingKey,
    headers: HeaderOptions,
    error_status: StatusCode,
    on_refusal: Option<Arc<OnRefusal>>,
}

impl RateLimitLayerBuilder {
    pub(crate) fn new(limiter: RateLimiter<str>, key: impl KeyExtractor) -> Self {
        Self {
            limiter,
            key: Arc::new(key),
            cost: None,
            missing_key: MissingKey::default(),
            headers: HeaderOptions::default(),
            error_status: StatusCode::SERVICE_UNAVAILABLE,
            on_refusal: None,
        }
    }

    /// What a request costs. One that costs 0 is not limited, nor is its key looked for. The default: 1.
    pub fn cost(mut self, cost: impl Fn(&Parts) -> u64 + Send + Sync + 'static) -> Self {
        self.cost = Some(Arc::new(cost));
        self
    }

    /// What is done with a request that has no key. The default: it is refused as 400.
    pub fn missing_key(mut self, missing_key: MissingKey) -> Self {
        self.missing_key = missing_key;
        self
    }

    /// How clients are told of their quotas. The default: [`HeaderFormat::Draft10`].
    pub fn header_format(mut self, format: HeaderFormat) -> Self {
        self.headers.format = format;
        self
    }

    /// Sends `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` too, of the tightest quota. The last is in how many
    /// seconds the whole quota is there again; some servers send a date there, so tell your clients. The default: no.
    pub fn legacy_headers(mut self, legacy: bool) -> Self {
        self.headers.legacy = legacy;
        self
    }

    /// What costs are counted in, for `RateLimit-Policy`: `content-bytes`, say. Without it they are requests.
    pub fn quota_unit(mut self, unit: &str) -> Self {
        self.headers.unit = Some(unit.to_owned());
        self
    }

    /// Sends a partition key, made from the request's key, as `pk` in `RateLimit`. It shows clients, and whatever logs
    /// their traffic, whom a request was counted for: give nothing away that they don't know. The default: none.
    pub fn partition_key(
        mut self,
        partition: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        self.headers.partition_key = Some(Arc::new(partition));
        self
    }

    /// The status while the store is down and the limiter fails closed, but for gRPC calls. The default: 503.
    pub fn error_status(mut self, status: StatusCode) -> Self {
        self.error_status = status;
        self
    }

    /// Changes the responses to requests that are refused, or makes others of them. What is given is the one that would be
    /// sent, with its status, all its fields, and its problem details for a body. For gRPC calls there is none, and one that is added makes
    /// the response something else than gRPC's refusal.
    ///
    /// ```
    /// use http::{HeaderValue, header::CONTENT_TYPE};
    /// use larder_memory::MemoryStore;
    /// use larder_tower::{HeaderKey, Quota, RateLimitLayer, RateLimiter, Refusal};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = RateLimiter::builder(MemoryStore::new(10_000), "api").quota(Quota::per_second(10)).build()?;
    /// let layer = RateLimitLayer::builder(limiter, HeaderKey::new("x-tenant")?)
    ///     .on_refusal(|refusal, _request, mut response| {
    ///         if matches!(refusal, Refusal::Quota(_)) && !response.body().is_empty() {
    ///             response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    ///             response = response.map(|_problem| "Slow down, please.".into());
    ///         }
    ///         response
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_refusal(
        mut self,
        respond: impl Fn(&Refusal, &Parts, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.on_refusal = Some(Arc::new(respond));
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// [`ErrorKind::PolicyName`](crate::ErrorKind::PolicyName) if a quota's name is empty, no printable ASCII or another quota's too,
    /// [`ErrorKind::QuotaUnit`](crate::ErrorKind::QuotaUnit) likewise.
    pub fn build(self) -> Result<RateLimitLayer> {
        let headers = Headers::new(&self.limiter, self.headers)?;
        Ok(RateLimitLayer::with(Settings {
            limiter: self.limiter,
            key: self.key,
            cost: self.cost,
            missing_key: self.missing_key,
            headers,
            error_status: self.error_status,
            on_refusal: self.on_refusal,
        }))
    }
}

impl fmt::Debug for RateLimitLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayerBuilder")
            .field("limiter", &self.limiter)
            .field("missing_key", &self.missing_key)
            .field("header_format", &self.headers.format)
            .field("error_status", &self.error_status)
            .finish_non_exhaustive()
    }
}
