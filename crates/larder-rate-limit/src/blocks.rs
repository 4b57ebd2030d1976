//! Leased quota: tokens that were taken from the store in blocks, to be spent in this process.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use larder_store::Key;
use tokio::time::Instant;

use crate::{Decision, decision::DecidedBy, shared::Plans, together::Ask};

const SHARDS: usize = 16;
/// How many a shard keeps.
const MOST: usize = 1_000;
/// No block is larger than this part of what is admitted at once, so that one process doesn't take it all.
const PART: u64 = 10;

/// The blocks of this process, one for an identity. A block that was used up is followed by one of twice the size, and one that
/// ran out by one of what was used of it.
pub(crate) struct Blocks {
    lifetime: Duration,
    shards: Box<[Mutex<HashMap<Key, Block>>]>,
    hasher: RandomState,
}

struct Block {
    plans: Arc<Plans>,
    size: u64,
    left: u64,
    until: Instant,
    /// How the identity stood when it was taken.
    standing: Decision,
}

impl Blocks {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Spends of the identity's block, if there is enough in it.
    pub(crate) fn spend(&self, ask: &Ask) -> Option<Decision> {
        let mut shard = self.shard(&ask.key);
        let block = shard.get_mut(&ask.key)?;
        if block.left < ask.cost
            || !Arc::ptr_eq(&block.plans, &ask.plans)
            || Instant::now() >= block.until
        {
            return None;
        }
        block.left -= ask.cost;
        let mut decision = block.standing.before(block.left);
        decision.decided_by = DecidedBy::Lease;
        Some(decision)
    }

    /// How much to take next, by what became of the last block.
    pub(crate) fn wanted(&self, ask: &Ask) -> u64 {
        let shard = self.shard(&ask.key);
        let Some(block) = shard.get(&ask.key) else {
            return ask.cost;
        };
        let now = Instant::now();
        if now >= block.until + self.lifetime {
            return ask.cost;
        }
        let size = match now < block.until {
            true => block.size.saturating_mul(2),
            false => block.size - block.left,
        };
        let most = ask.plans.plan.capacity() / PART;
        size.min(most).max(ask.cost)
    }

    /// Keeps what was taken beyond need by a request that was sent at this time.
    pub(crate) fn keep(
        &self,
        ask: &Ask,
        asked: Instant,
        size: u64,
        left: u64,
        standing: &Decision,
    ) {
        let block = Block {
            plans: Arc::clone(&ask.plans),
            size,
            left,
            // The store took them later than that.
            until: asked + self.lifetime,
            standing: standing.clone(),
        };
        let mut shard = self.shard(&ask.key);
        if shard.len() >= MOST {
            let now = Instant::now();
            shard.retain(|_, block| block.until > now);
        }
        if shard.len() < MOST || shard.contains_key(&ask.key) {
            shard.insert(ask.key.clone(), block);
        }
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.shard(key).remove(key);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Block>> {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
