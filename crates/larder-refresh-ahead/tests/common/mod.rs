//! What these tests share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{sync::Arc, time::Duration};

use larder_refresh_ahead::{RefreshAhead, RefreshAheadBuilder};
use larder_store::{Key, Namespace, Store};
pub(crate) use larder_testing::Database;

pub(crate) const NAME: &str = "row";

pub(crate) fn builder(store: impl Into<Arc<dyn Store>>) -> RefreshAheadBuilder<u64, String> {
    RefreshAhead::builder(store, NAME)
        .ttl(Duration::from_secs(60))
        .jitter(0.0)
}

pub(crate) fn cache(
    store: impl Into<Arc<dyn Store>>,
    database: &Database,
) -> RefreshAhead<u64, String> {
    builder(store).build(database.clone()).expect("a cache")
}

/// Where the cache keeps this key.
pub(crate) fn address(id: u64) -> Key {
    Namespace::new(NAME, 1)
        .and_then(|space| space.key(&id))
        .expect("a key")
}
