#![doc = include_str!("../README.md")]

mod builder;
mod write_through;
mod writer;

pub use builder::WriteThroughBuilder;
pub use write_through::{Created, WriteThrough};
pub use writer::{NoWriter, Writer};

#[cfg(feature = "json")]
pub use larder_cache::Json;
#[cfg(feature = "prost")]
pub use larder_cache::Protobuf;
pub use larder_cache::{
    CacheKey, CacheState, Codec, Error, ErrorKind, Keyspace, MessagePack, Result, Stats,
    WriteError, Written, WrittenMany, async_trait,
};
pub use larder_store::{BoxError, ErrorKind as StoreErrorKind, Store, Tagged};
