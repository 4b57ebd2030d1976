#![doc = include_str!("../README.md")]

mod builder;
mod due;
mod refresh;
mod refresh_ahead;
mod refreshes;

pub use builder::RefreshAheadBuilder;
pub use refresh_ahead::RefreshAhead;

#[cfg(feature = "json")]
pub use larder_cache::Json;
#[cfg(feature = "prost")]
pub use larder_cache::Protobuf;
pub use larder_cache::{
    Cache, CacheKey, CacheState, Codec, Error, ErrorKind, Fetched, Freshness, Keyspace, Loader,
    MessagePack, Result, Source, Stats, WriteError, Written, async_trait,
};
pub use larder_coalesce::Overload;
pub use larder_store::{BoxError, ErrorKind as StoreErrorKind, Store, Tagged};
