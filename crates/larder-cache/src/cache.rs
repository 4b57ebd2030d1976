//! What every read pattern offers.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{Entry, Error, Filled, Loaded, Result, Stats};

/// A read pattern: get a value from the store or, failing that, from the origin.
///
/// Implemented by every read pattern, so that benches, adapters and applications can swap them at run time.
#[async_trait]
pub trait Cache<K, V>: Send + Sync {
    /// The value and where it came from.
    ///
    /// # Errors
    /// Those of the loader. A failing store is no error: the loader is asked, and
    /// [`Fetched::store_error`] says why.
    async fn fetch(&self, key: &K) -> Result<Fetched<V>>;

    /// The value, or `None` if the origin has none.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    async fn get(&self, key: &K) -> Result<Option<V>>;

    /// The values of these keys, in their order: one round trip for the hits and one load for the others.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), for the batch as a whole.
    async fn get_many(&self, keys: &[K]) -> Result<Vec<Option<V>>>;

    /// Drops what is cached for this key. Call it after the change is committed: no read that starts after
    /// `Ok` sees what was there before.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`](crate::ErrorKind::Deferred) if the store can't be told now: it is repeated in
    /// the background.
    async fn invalidate(&self, key: &K) -> Result<()>;

    /// [`invalidate`](Self::invalidate) for several keys in one round trip.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate), if any of them was deferred.
    async fn invalidate_many(&self, keys: &[K]) -> Result<()>;

    /// Drops everything that is cached under this cache's name and version. It looks at every key of the store.
    ///
    /// # Errors
    /// Those of the store: then some of it may be left, so call it again.
    async fn invalidate_all(&self) -> Result<()>;

    /// What happened so far.
    fn stats(&self) -> Stats;

    /// How many keys wait until the store can be told that they changed.
    fn deferred(&self) -> usize;

    /// Waits for what is under way in the background, 5 s at the most. Call it before the program ends; the cache can
    /// still be used.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`](crate::ErrorKind::Deferred) if invalidations could not be sent by then.
    async fn shutdown(&self) -> Result<()>;
}

/// A value and how it was come by. `Debug` doesn't show the value.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fetched<V> {
    /// The value, or `None` if the origin has none.
    pub value: Option<V>,
    /// Who answered.
    pub source: Source,
    /// How old that is.
    pub freshness: Freshness,
    /// How long ago it was stored; zero for a value that was just loaded.
    pub age: Duration,
    /// How long it will count as fresh; zero for a stale value or one that is not stored.
    pub ttl_left: Duration,
    /// Why the store was not of use, if it failed, held something undecodable, or refused the value.
    pub store_error: Option<Error>,
    /// Why a stale value was served, if the loader failed; or why the last refresh of a due one failed.
    pub load_error: Option<Error>,
}

impl<V> Fetched<V> {
    /// The value, as the loader just gave it.
    #[must_use]
    pub fn loaded(loaded: Loaded<V>, store_error: Option<Error>) -> Self {
        Self {
            value: loaded.value,
            source: Source::Loader,
            freshness: Freshness::Fresh,
            age: Duration::ZERO,
            ttl_left: Duration::ZERO,
            store_error,
            load_error: None,
        }
    }

    /// The value, as the loader just gave it, and stored for this long.
    #[must_use]
    pub fn stored(loaded: Loaded<V>, ttl: Duration, store_error: Option<Error>) -> Self {
        Self {
            ttl_left: ttl,
            ..Self::loaded(loaded, store_error)
        }
    }

    /// The value, as the loader just gave it, and what came of storing it; `seen` is why the store was of no use before.
    #[must_use]
    pub fn filled(loaded: Loaded<V>, filled: Result<Filled>, seen: Option<Error>) -> Self {
        match filled {
            Ok(Filled::Stored(ttl)) => Self::stored(loaded, ttl, seen),
            Ok(_) => Self::loaded(loaded, seen),
            Err(error) => Self::loaded(loaded, Some(error)),
        }
    }

    /// The entry, served although it is stale, since the loader failed or is slow.
    #[must_use]
    pub fn stale(entry: Entry<V>, load_error: Option<Error>) -> Self {
        Self {
            load_error,
            ..Self::from(entry)
        }
    }
}

impl<V> From<Entry<V>> for Fetched<V> {
    fn from(entry: Entry<V>) -> Self {
        Self {
            freshness: entry.freshness(),
            source: Source::Store,
            age: entry.age(),
            ttl_left: entry.ttl_left(),
            value: entry.value,
            store_error: None,
            load_error: None,
        }
    }
}

impl<V> fmt::Debug for Fetched<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("negative", &self.value.is_none())
            .field("source", &self.source)
            .field("freshness", &self.freshness)
            .field("age", &self.age)
            .field("ttl_left", &self.ttl_left)
            .field("store_error", &self.store_error)
            .field("load_error", &self.load_error)
            .finish_non_exhaustive()
    }
}

/// Who answered a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The store.
    Store,
    /// The loader.
    Loader,
    /// The loader, asked by another caller at the same time.
    Coalesced,
}

/// How old an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// Within its TTL.
    Fresh,
    /// Within its TTL, and near enough to its end to be loaded again.
    Due,
    /// Past its TTL, within its grace.
    Stale,
}
