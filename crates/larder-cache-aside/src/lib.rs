#![doc = include_str!("../README.md")]

mod builder;
mod cache_aside;
mod many;
mod stale;
mod warm;

pub use builder::CacheAsideBuilder;
pub use cache_aside::CacheAside;
pub use warm::{WarmProgress, Warming};

#[cfg(feature = "json")]
pub use larder_cache::Json;
#[cfg(feature = "prost")]
pub use larder_cache::Protobuf;
pub use larder_cache::{
    Cache, CacheKey, CacheState, Codec, Error, ErrorKind, Fetched, Freshness, Keyspace, Loader,
    MessagePack, Result, Source, Stats, WriteError, Written, async_trait,
};
pub use larder_store::{BoxError, ErrorKind as StoreErrorKind, Store, Tagged};
