#![doc = include_str!("../README.md")]

mod body;
mod builder;
mod error;
mod future;
mod grpc;
mod headers;
mod key;
mod layer;
mod problem;
mod refusal;
mod service;
mod settings;

pub use body::RateLimitBody;
pub use builder::RateLimitLayerBuilder;
pub use error::{Error, ErrorKind, Result};
pub use future::ResponseFuture;
pub use headers::HeaderFormat;
pub use key::{HeaderKey, KeyExtractor, MissingKey, Or, PeerIp, XForwardedFor};
pub use layer::RateLimitLayer;
pub use refusal::Refusal;
pub use service::RateLimit;

pub use http::request::Parts;
pub use larder_rate_limit::{Algorithm, DecidedBy, Decision, Quota, RateLimiter, RetryAfter};
