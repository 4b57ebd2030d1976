#![doc = include_str!("../README.md")]

mod builder;
mod cache;
mod codec;
#[cfg(feature = "zstd")]
mod compression;
mod error;
mod expiry;
mod frame;
mod keyspace;
mod loader;
mod origin;
mod outbox;
mod pattern;
mod protocol;
mod see_through;
mod stats;
#[cfg(feature = "protocol")]
pub mod steps;
mod token;

pub use builder::KeyspaceBuilder;
pub use cache::{Cache, Fetched, Freshness, Source};
pub use codec::Codec;
#[cfg(feature = "json")]
pub use codec::Json;
pub use codec::MessagePack;
#[cfg(feature = "prost")]
pub use codec::Protobuf;
pub use error::{CodecError, Error, ErrorKind, Result};
pub use keyspace::{
    Busy, CacheState, Claim, Entry, Filled, Keyspace, Lease, Leased, Lookup, NotReady, Vacancy,
    WriteError, Written, WrittenMany,
};
pub use loader::Loader;
pub use origin::{Loaded, Origin};
pub use stats::Stats;
pub use token::Token;

pub use larder_store::{BoxError, CacheKey, async_trait};
