#![doc = include_str!("../README.md")]

mod cache_key;
mod error;
mod ext;
mod forward;
mod key;
mod namespace;
mod page;
mod store;
mod subscription;
mod timestamp;
mod update;

pub use cache_key::{CacheKey, KeyWriter, Tagged};
pub use error::{BoxError, Error, ErrorKind, Result};
pub use ext::{Step, StoreExt};
pub use key::Key;
pub use namespace::Namespace;
pub use page::{Cursor, Page};
pub use store::{Ready, Store};
pub use subscription::{Event, Subscription};
pub use timestamp::Timestamp;
pub use update::{Arg, Input, NewTtl, Outcome, Reply, Script, Update, Write};

pub use async_trait::async_trait;
pub use bytes::Bytes;
