//! The limiter of this process, for when the store is down.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use larder_store::{Key, NewTtl, Reply, Timestamp, Update, Write};
use tokio::time::Instant;

/// How many identities a generation has.
const MOST: usize = 50_000;

/// Records of up to twice 50,000 identities; those that were not seen for the longest time are forgotten first, whether they
/// have spent or not. Who can make up 50,000 identities before each request of his own is not limited here.
pub(crate) struct Local {
    started: Instant,
    generations: Mutex<Generations>,
}

/// Identities move to the young generation when they are seen. When it is full it becomes the old one, and the old one is
/// forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<Key, Record>,
    old: HashMap<Key, Record>,
}

struct Record {
    bytes: Bytes,
    expires: Timestamp,
}

impl Local {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            generations: Mutex::default(),
        }
    }

    /// Runs an update as a store would.
    pub(crate) fn update(&self, key: &Key, update: &Update) -> Reply {
        let now = self.now();
        let mut generations = self.lock();
        let before = generations.take(key).filter(|record| now < record.expires);
        let outcome = update.apply(before.as_ref().map(|record| &record.bytes), now);
        let after = match outcome.write {
            Write::Keep => before,
            Write::Delete => None,
            Write::Set(bytes, ttl) | Write::SetOrDelete(bytes, ttl) => Some(Record {
                bytes,
                expires: expiry(now, ttl),
            }),
        };
        let forgotten = after.and_then(|record| generations.put(key, record));
        // Many thousand records, which nobody needs to wait for.
        drop(generations);
        drop(forgotten);
        outcome.reply
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.lock().take(key);
    }

    /// Its clock starts a day after the epoch.
    fn now(&self) -> Timestamp {
        let day = Duration::from_secs(86_400);
        let now = (day + self.started.elapsed()).as_micros();
        Timestamp::from_micros(u64::try_from(now).unwrap_or(u64::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn take(&mut self, key: &Key) -> Option<Record> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// The generation that had to be forgotten for this record, if one had.
    fn put(&mut self, key: &Key, record: Record) -> Option<HashMap<Key, Record>> {
        let forgotten = (self.young.len() >= MOST).then(|| {
            let young = std::mem::take(&mut self.young);
            std::mem::replace(&mut self.old, young)
        });
        self.young.insert(key.clone(), record);
        forgotten
    }
}

const fn expiry(now: Timestamp, ttl: NewTtl) -> Timestamp {
    match ttl {
        NewTtl::Keep => Timestamp::from_micros(u64::MAX),
        NewTtl::Millis(millis) => {
            let us = millis.saturating_mul(1_000);
            Timestamp::from_micros(now.as_micros().saturating_add(us))
        }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
