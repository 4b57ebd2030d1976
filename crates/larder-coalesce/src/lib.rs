#![doc = include_str!("../README.md")]

#[cfg(feature = "store")]
mod builder;
#[cfg(feature = "store")]
mod coalesce;
#[cfg_attr(
    not(feature = "store"),
    expect(dead_code, reason = "the bare `SingleFlight` needs a part of it")
)]
mod flights;
#[cfg(feature = "store")]
mod lead;
#[cfg(test)]
mod leaks;
#[cfg(feature = "store")]
mod many;
mod single_flight;
mod sync;

#[cfg(feature = "store")]
pub use builder::CoalesceBuilder;
#[cfg(feature = "store")]
pub use coalesce::{Coalesce, Started};
pub use single_flight::{FlightError, Overload, SingleFlight, SingleFlightBuilder};

#[cfg(feature = "json")]
pub use larder_cache::Json;
#[cfg(feature = "prost")]
pub use larder_cache::Protobuf;
#[cfg(feature = "store")]
pub use larder_cache::{
    Cache, CacheKey, CacheState, Codec, Error, ErrorKind, Fetched, Freshness, Keyspace, Loader,
    MessagePack, Result, Source, Stats, WriteError, Written, async_trait,
};
#[cfg(feature = "store")]
pub use larder_store::{BoxError, ErrorKind as StoreErrorKind, Store, Tagged};
