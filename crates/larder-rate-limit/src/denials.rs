//! Refusals, remembered until they can change.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use larder_store::Key;
use tokio::time::Instant;

use crate::{Decision, RetryAfter, decision::DecidedBy, shared::Plans, together::Ask};

const SHARDS: usize = 16;
/// How many a shard remembers.
const MOST: usize = 1_000;
/// No longer than this: a refund or a reset of another process is not heard of.
const LONGEST: Duration = Duration::from_secs(1);

/// What the store refused, so that asking again before it can be admitted costs nothing.
pub(crate) struct Denials {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    known: HashMap<Key, Denial>,
    /// How often something was to be forgotten.
    forgotten: u64,
}

/// When the store was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    asked: Instant,
    forgotten: u64,
}

struct Denial {
    cost: u64,
    plans: Arc<Plans>,
    decision: Decision,
    heard: Instant,
    until: Instant,
}

impl Mark {
    pub(crate) const fn asked(self) -> Instant {
        self.asked
    }
}

impl Denials {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The refusal of this request, if it still holds.
    pub(crate) fn recall(&self, ask: &Ask) -> Option<Decision> {
        let known = &mut self.shard(&ask.key).known;
        let denial = known.get(&ask.key)?;
        let now = Instant::now();
        if now >= denial.until {
            known.remove(&ask.key);
            return None;
        }
        let same = denial.cost == ask.cost && Arc::ptr_eq(&denial.plans, &ask.plans);
        same.then(|| denial.decision.later(now - denial.heard))
    }

    /// To be made before the store is asked.
    pub(crate) fn mark(&self, key: &Key) -> Mark {
        Mark {
            asked: Instant::now(),
            forgotten: self.shard(key).forgotten,
        }
    }

    /// Remembers a refusal of the store, unless it may be from before a refund or a reset.
    pub(crate) fn remember(&self, ask: &Ask, mark: Mark, refusal: &Decision) {
        let RetryAfter::After(wait) = refusal.retry_after else {
            return;
        };
        if refusal.allowed || refusal.decided_by != DecidedBy::Store || wait.is_zero() {
            return;
        }
        let heard = Instant::now();
        // The store decided in between, so this is over when the time has come by the store's clock.
        let until = mark.asked + wait.min(LONGEST);
        let denial = Denial {
            cost: ask.cost,
            plans: Arc::clone(&ask.plans),
            decision: refusal.clone(),
            heard,
            until,
        };
        let mut shard = self.shard(&ask.key);
        if shard.forgotten != mark.forgotten {
            return;
        }
        let known = &mut shard.known;
        if known.len() >= MOST {
            known.retain(|_, denial| denial.until > heard);
        }
        if known.len() < MOST || known.contains_key(&ask.key) {
            known.insert(ask.key.clone(), denial);
        }
    }

    /// After a refund or a reset.
    pub(crate) fn forget(&self, key: &Key) {
        let mut shard = self.shard(key);
        shard.forgotten += 1;
        shard.known.remove(key);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
