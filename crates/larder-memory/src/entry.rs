//! What the map holds.

use std::time::Duration;

use bytes::Bytes;
use larder_store::{Key, NewTtl, Timestamp, Write};
use quick_cache::Weighter;

/// A record and when it expires.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) value: Bytes,
    expires: Timestamp,
    /// A writer who holds the key's lock has looked at it, and will put another one in its place: it must not change here.
    pub(crate) locked: bool,
}

impl Entry {
    pub(crate) fn new(value: Bytes, expires: Timestamp) -> Self {
        Self {
            value,
            expires,
            locked: false,
        }
    }

    /// A record without a time to live.
    pub(crate) const NEVER: Timestamp = Timestamp::from_micros(u64::MAX);

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// The bytes, unless they are expired.
    pub(crate) fn live(&self, now: Timestamp) -> Option<&Bytes> {
        self.is_live(now).then_some(&self.value)
    }

    /// Becomes what is to be written, if that is no longer than the record or this much, and says whether it did.
    pub(crate) fn write_in_place(
        &mut self,
        write: &mut Write,
        room: usize,
        now: Timestamp,
    ) -> bool {
        match write {
            Write::Keep => self.is_live(now),
            Write::Set(bytes, ttl) | Write::SetOrDelete(bytes, ttl)
                if bytes.len() <= self.value.len().max(room) =>
            {
                self.expires = new_expiry(Some(self), *ttl, now);
                self.value = std::mem::take(bytes);
                true
            }
            _ => false,
        }
    }
}

/// When a record expires that is written in this one's place.
pub(crate) fn new_expiry(before: Option<&Entry>, ttl: NewTtl, now: Timestamp) -> Timestamp {
    let live = before.filter(|entry| entry.is_live(now));
    match ttl {
        NewTtl::Keep => live.map_or(Entry::NEVER, |entry| entry.expires),
        NewTtl::Millis(millis) => after_millis(now, millis.max(1)),
    }
}

/// When a record written now expires: whole milliseconds, rounded up, at least one.
pub(crate) fn expiry(now: Timestamp, ttl: Option<Duration>) -> Timestamp {
    ttl.map_or(Entry::NEVER, |ttl| {
        let millis = ttl.as_micros().div_ceil(1_000).max(1);
        after_millis(now, u64::try_from(millis).unwrap_or(u64::MAX))
    })
}

const fn after_millis(now: Timestamp, millis: u64) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_add(millis.saturating_mul(1_000)))
}

/// How much of the capacity an entry takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Weight {
    /// Every entry the same.
    Entries,
    /// Its key and value in bytes.
    Bytes,
}

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        match self {
            Self::Entries => 1,
            Self::Bytes => (key.len() + entry.value.len()) as u64,
        }
    }
}
