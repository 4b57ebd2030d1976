#![doc = include_str!("../README.md")]

mod algorithm;
mod block;
mod builder;
mod decision;
mod error;
mod group;
mod identities;
mod lease;
mod local;
mod on_drop;
mod plan;
mod quota;
mod rate_limiter;
mod refusal;
mod request;
mod reset;
mod shared;
mod stats;
#[cfg(feature = "steps")]
pub mod steps;
mod together;

pub use algorithm::Algorithm;
pub use builder::RateLimiterBuilder;
pub use decision::{DecidedBy, Decision, LimitState, RetryAfter};
pub use error::{Error, ErrorKind, Result};
pub use quota::Quota;
pub use rate_limiter::RateLimiter;
pub use stats::Stats;

pub use larder_store::{CacheKey, ErrorKind as StoreErrorKind, Store, Tagged};
