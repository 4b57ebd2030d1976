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
}

impl Entry {
    pub(crate) fn new(value: Bytes, expires: Timestamp) -> Self {
        Self { value, expires }
    }

    /// A record without a time to live.
    pub(crate) const NEVER: Timestamp = Timestamp::from_micros(u64::MAX);

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// Becomes what is to be written, unless it would grow and others might have to go, and leaves the rest to do.
    pub(crate) fn write_in_place(&mut self, write: &mut Write, now: Timestamp) {
        match write {
            Write::Set(bytes, ttl) | Write::SetOrDelete(bytes, ttl)
                if bytes.len() <= self.value.len() =>
            {
                self.expires = new_expiry(Some(self), *ttl, now);
                self.value = std::mem::take(bytes);
                *write = Write::Keep;
            }
            Write::Keep if !self.is_live(now) => *write = Write::Delete,
            _ => {}
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
