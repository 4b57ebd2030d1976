//! lookup: what is at a key.

use std::{fmt, time::Duration};

use bytes::Bytes;
use larder_store::{CacheKey, Key, Timestamp};

use super::Keyspace;
use crate::{
    Error, ErrorKind, Freshness,
    frame::{Frame, Seal, ValueFrame},
    token::Token,
};

/// What a look at a key found.
pub enum Lookup<V> {
    /// An entry, fresh or stale.
    Hit(Entry<V>),
    /// Nothing of use: ask for a lease, load, fill.
    Miss(Vacancy),
    /// Someone loads or writes: load and don't store.
    Busy(Busy),
    /// The store failed or holds something foreign: load and leave the store alone.
    Failed(Error),
}

impl<V> fmt::Debug for Lookup<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit(entry) => f.debug_tuple("Hit").field(entry).finish(),
            Self::Miss(vacancy) => f.debug_tuple("Miss").field(vacancy).finish(),
            Self::Busy(busy) => f.debug_tuple("Busy").field(busy).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// An entry of the store.
#[derive(Clone)]
pub struct Entry<V> {
    /// The value, or `None` for a negative entry.
    pub value: Option<V>,
    // Plain numbers: a hit should not pay for arithmetic that few callers look at.
    age_us: u64,
    soft_ttl_us: u64,
    cost_us: u32,
    pub(super) stamp: Token,
}

impl<V> Entry<V> {
    /// How long ago it was stored.
    #[must_use]
    pub const fn age(&self) -> Duration {
        Duration::from_micros(self.age_us)
    }

    /// How long it will count as fresh; zero if it is stale.
    #[must_use]
    pub const fn ttl_left(&self) -> Duration {
        Duration::from_micros(self.soft_ttl_us.saturating_sub(self.age_us))
    }

    /// The token it was stored under: two entries with the same one are the same entry.
    #[must_use]
    pub const fn stamp(&self) -> Token {
        self.stamp
    }

    /// How long it took to load.
    #[must_use]
    pub fn cost(&self) -> Duration {
        Duration::from_micros(self.cost_us.into())
    }

    /// Whether it is past its TTL.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.age_us >= self.soft_ttl_us
    }

    /// How long ago its TTL ended; zero if it is fresh.
    #[must_use]
    pub const fn past_ttl(&self) -> Duration {
        Duration::from_micros(self.age_us.saturating_sub(self.soft_ttl_us))
    }

    /// [`Freshness::Fresh`] or [`Freshness::Stale`]; whether it is due is for a pattern to say.
    #[must_use]
    pub const fn freshness(&self) -> Freshness {
        if self.is_stale() {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }
}

impl<V> fmt::Debug for Entry<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("negative", &self.value.is_none())
            .field("age", &self.age())
            .field("ttl_left", &self.ttl_left())
            .finish_non_exhaustive()
    }
}

/// A key that the store can't answer for without waiting; from [`Keyspace::lookup_ready`]. It goes to
/// [`Keyspace::lookup_waiting`] of the same keyspace.
#[derive(Debug)]
pub struct NotReady(larder_store::Result<Key>);

/// A key that someone loads or writes.
#[derive(Debug)]
pub struct Busy(Box<(Key, Option<Token>)>);

impl Busy {
    pub(super) fn new(address: &Key, lease: Option<Token>) -> Self {
        Self(Box::new((address.clone(), lease)))
    }

    /// The lease of whoever loads it; `None` if someone writes.
    #[must_use]
    pub fn lease(&self) -> Option<Token> {
        self.0.1
    }

    pub(super) fn address(&self) -> &Key {
        &self.0.0
    }
}

/// A key that was seen without a usable entry: what a lease is asked for with.
pub struct Vacancy(pub(super) Box<Vacant>);

/// Behind a box, so that what hits pass around stays small.
pub(super) struct Vacant {
    pub(super) address: Key,
    /// The undecodable record that is there instead, to be replaced if it still is.
    pub(super) replace: Option<Bytes>,
    /// Why that record is of no use.
    pub(super) error: Option<Error>,
}

impl Vacancy {
    /// Why the record that is there is of no use, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.0.error.as_ref()
    }
}

impl fmt::Debug for Vacancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vacancy")
            .field("error", &self.0.error)
            .finish_non_exhaustive()
    }
}

impl<K: CacheKey, V: 'static> Keyspace<K, V> {
    /// Looks at one key. One round trip, a plain GET.
    pub async fn lookup(&self, key: &K) -> Lookup<V> {
        match self.lookup_ready(key) {
            Ok(found) => found,
            Err(not_ready) => self.lookup_waiting(not_ready).await,
        }
    }

    /// The value, if a fresh entry is there and the store need not wait to say so: the shortest way to a hit. For
    /// everything else go on with [`lookup_waiting`](Self::lookup_waiting).
    ///
    /// # Errors
    /// [`NotReady`].
    #[inline]
    pub fn fresh_ready(&self, key: &K) -> Result<Option<V>, NotReady> {
        let address = self.address(key).map_err(|error| NotReady(Err(error)))?;
        let Some(ready) = self.core.store.get_ready(&address) else {
            return Err(NotReady(Ok(address)));
        };
        if let Some(record) = &ready.record
            && let Frame::Value(frame) = Frame::parse(record)
            && let Some((seal, payload)) = Seal::open(frame.sealed, frame.versioned)
            && age_us(ready.now, frame.created_ms) < seal.soft_ttl_ms.saturating_mul(1_000)
        {
            let counters = &self.core.counters;
            if frame.negative {
                counters.hits.increment();
                counters.negative_hits.increment();
                return Ok(None);
            }
            // Compressed values, and those of other codecs, go the long way.
            if seal.codec == self.codec_id
                && let Ok(value) = self.codec.decode(payload)
            {
                counters.hits.increment();
                return Ok(Some(value));
            }
        }
        Err(NotReady(Ok(address)))
    }

    /// Looks at one key, if the store need not wait to answer; otherwise go on with
    /// [`lookup_waiting`](Self::lookup_waiting).
    ///
    /// # Errors
    /// [`NotReady`] if the store has to be asked.
    pub fn lookup_ready(&self, key: &K) -> Result<Lookup<V>, NotReady> {
        let address = self.address(key).map_err(|error| NotReady(Err(error)))?;
        let Some(ready) = self.core.store.get_ready(&address) else {
            return Err(NotReady(Ok(address)));
        };
        let found = self.read_at(&address, ready.record.as_ref(), ready.now);
        self.count(&found);
        Ok(found)
    }

    /// Looks at a key once more on behalf of the same read: as [`lookup`](Self::lookup), and not counted again.
    pub async fn lookup_again(&self, key: &K) -> Lookup<V> {
        self.ask(self.address(key)).await
    }

    /// Asks the store. One round trip, a plain GET.
    pub async fn lookup_waiting(&self, NotReady(address): NotReady) -> Lookup<V> {
        let found = self.ask(address).await;
        self.count(&found);
        found
    }

    async fn ask(&self, address: larder_store::Result<Key>) -> Lookup<V> {
        let error = match address {
            Ok(address) => match self.core.store.get(&address).await {
                Ok(record) => return self.read(&address, record.as_ref()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        Lookup::Failed(self.core.store_failed(error))
    }

    /// Looks at several keys. One round trip, in their order.
    pub async fn lookup_many(&self, keys: &[K]) -> Vec<Lookup<V>> {
        let addresses: Vec<_> = keys.iter().map(|key| self.address(key)).collect();
        let sendable: Vec<Key> = addresses.iter().flatten().cloned().collect();
        let found = match self.core.store.get_many(&sendable).await {
            Ok(records) => self.read_many(addresses, records),
            Err(error) => {
                let error = self.core.store_failed(error);
                keys.iter().map(|_| Lookup::Failed(error.clone())).collect()
            }
        };
        found.iter().for_each(|found| self.count(found));
        found
    }

    fn read_many(
        &self,
        addresses: Vec<larder_store::Result<Key>>,
        records: Vec<Option<Bytes>>,
    ) -> Vec<Lookup<V>> {
        let mut records = records.into_iter();
        let mut read = |address| match address {
            Ok(address) => self.read(&address, records.next().flatten().as_ref()),
            Err(error) => Lookup::Failed(self.core.store_failed(error)),
        };
        addresses.into_iter().map(&mut read).collect()
    }
}

impl<K, V: 'static> Keyspace<K, V> {
    /// What a record means to a reader.
    pub(super) fn read(&self, address: &Key, record: Option<&Bytes>) -> Lookup<V> {
        // As far as the store's time is known here.
        let now = self.core.store.now().unwrap_or_default();
        self.read_at(address, record, now)
    }

    fn read_at(&self, address: &Key, record: Option<&Bytes>, now: Timestamp) -> Lookup<V> {
        let Some(record) = record else {
            return vacant(address, None, None);
        };
        match Frame::parse(record) {
            Frame::Lease(lease) => Lookup::Busy(Busy::new(address, Some(lease.token))),
            Frame::Holds(_) => Lookup::Busy(Busy::new(address, None)),
            Frame::Value(value) => match self.open(&value, now) {
                Ok(entry) => Lookup::Hit(entry),
                Err(error) => vacant(address, Some(record.clone()), Some(error)),
            },
            Frame::Foreign => Lookup::Failed(Error::new(
                ErrorKind::Foreign,
                "the bytes at the key are not a record of this version of larder; they are left alone",
            )),
        }
    }

    fn open(&self, frame: &ValueFrame<'_>, now: Timestamp) -> Result<Entry<V>, Error> {
        let Some((seal, payload)) = Seal::open(frame.sealed, frame.versioned) else {
            return Err(Error::new(ErrorKind::Undecodable, "the record is damaged"));
        };
        let value = if frame.negative {
            None
        } else {
            Some(self.decode(seal.codec, payload)?)
        };
        Ok(Entry {
            value,
            age_us: age_us(now, frame.created_ms),
            soft_ttl_us: seal.soft_ttl_ms.saturating_mul(1_000),
            cost_us: seal.cost_us,
            stamp: frame.stamp,
        })
    }

    fn count(&self, found: &Lookup<V>) {
        let counters = &self.core.counters;
        match found {
            Lookup::Hit(entry) if !entry.is_stale() => {
                counters.hits.increment();
                if entry.value.is_none() {
                    counters.negative_hits.increment();
                }
                return;
            }
            Lookup::Miss(vacancy) if vacancy.error().is_some() => counters.undecodable.increment(),
            Lookup::Failed(error) if error.kind() == ErrorKind::Foreign => {
                counters.undecodable.increment();
            }
            _ => {}
        }
        counters.misses.increment();
    }
}

fn age_us(now: Timestamp, created_ms: u64) -> u64 {
    now.as_micros()
        .saturating_sub(created_ms.saturating_mul(1_000))
}

fn vacant<V>(address: &Key, replace: Option<Bytes>, error: Option<Error>) -> Lookup<V> {
    Lookup::Miss(Vacancy(Box::new(Vacant {
        address: address.clone(),
        replace,
        error,
    })))
}
