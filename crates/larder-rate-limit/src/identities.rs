//! What this process knows of identities, so that it asks the store as seldom as it can.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hashbrown::HashTable;
use larder_store::Key;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    Decision,
    block::{Block, Renewal},
    group::{Group, Joined, Waiter},
    refusal::Refusal,
    request::Request,
};

const SHARDS: usize = 64;
/// How many identities a shard keeps that nobody is asking for.
const MOST_KNOWN: usize = 256;
/// How often a full shard is searched for identities of which nothing holds any more.
const PRUNED_EVERY: Duration = Duration::from_millis(100);
/// How many kinds of requests of one identity are told apart; those beyond go by themselves.
const MOST_GROUPS: usize = 16;

/// Identities that are being asked for, that were refused or that have tokens left in a block.
pub(crate) struct Identities {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    known: HashTable<Identity>,
    /// How often something was given back, and how often an identity was reset.
    refunds: u64,
    resets: u64,
    pruned: Option<Instant>,
}

/// What is known of one identity. Most have nothing but a request under way.
struct Identity {
    key: Key,
    hash: u64,
    groups: SmallVec<[Group; 1]>,
    refusal: Option<Box<Refusal>>,
    block: Option<Box<Block>>,
}

/// When the store was asked, and what had been forgotten by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) asked: Instant,
    refunds: u64,
    resets: u64,
}

/// How a request comes in.
pub(crate) enum Entered {
    /// It is admitted out of a block, or refused as before.
    Known(Decision),
    /// It is to be decided.
    Joined(Joined, Mark),
}

impl Identities {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Lets a request in. So many of those that are alike go by themselves at once.
    pub(crate) fn enter(&self, request: Request<'_>, most_alone: usize) -> Entered {
        let now = Instant::now();
        let mut shard = self.shard(request.hash);
        let mark = shard.mark(now);
        let identity = shard.enter(request);
        if let Some(decision) = identity.known(request, now) {
            return Entered::Known(decision);
        }
        let joined = identity.join(request, most_alone);
        if identity.is_unknown() {
            // It goes apart, and nobody would let the identity go.
            shard.change(request.key, request.hash, |_| {});
        }
        Entered::Joined(joined, mark)
    }

    /// After a request that went alone.
    pub(crate) fn leave(&self, request: Request<'_>) {
        self.shard(request.hash)
            .change(request.key, request.hash, |identity| {
                if let Some(group) = identity.group(request) {
                    group.leave();
                }
            });
    }

    /// Those who are next; nobody if there are none, and then nobody takes them along any more.
    pub(crate) fn next(&self, request: Request<'_>) -> (Vec<Waiter>, Mark) {
        let now = Instant::now();
        let mut shard = self.shard(request.hash);
        let mark = shard.mark(now);
        let mut waiters = Vec::new();
        shard.change(request.key, request.hash, |identity| {
            if let Some(group) = identity.group(request) {
                waiters = group.next();
            }
        });
        (waiters, mark)
    }

    /// Everybody who waits, since nobody will take them along.
    pub(crate) fn strand(&self, request: Request<'_>) -> Vec<Waiter> {
        let mut waiters = Vec::new();
        self.shard(request.hash)
            .change(request.key, request.hash, |identity| {
                if let Some(group) = identity.group(request) {
                    waiters = group.strand();
                }
            });
        waiters
    }

    /// What can be said of a request without asking.
    pub(crate) fn known(&self, request: Request<'_>) -> Option<Decision> {
        let now = Instant::now();
        let mut shard = self.shard(request.hash);
        shard.find(request)?.known(request, now)
    }

    /// The block to take for a request that is not admitted by the one there is; `None` to take its cost alone.
    pub(crate) fn renew(&self, request: Request<'_>, lifetime: Duration) -> Option<Renewal> {
        let now = Instant::now();
        let mut shard = self.shard(request.hash);
        let block = shard.find(request)?.block.as_mut()?;
        block.renew(request, now, lifetime)
    }

    /// After a block was taken, or was not.
    pub(crate) fn renewed(&self, request: Request<'_>, renewal: Renewal) {
        let mut shard = self.shard(request.hash);
        let block = shard.find(request).and_then(|it| it.block.as_mut());
        if let Some(block) = block.filter(|block| block.is_renewed_by(Some(renewal))) {
            block.stays();
        }
    }

    /// Keeps a block, unless it may be from before a reset of an identity of its shard. One that matters still makes room only for
    /// the one that was taken to renew it.
    pub(crate) fn keep(
        &self,
        request: Request<'_>,
        mark: Mark,
        renewal: Option<Renewal>,
        block: Block,
    ) {
        let now = Instant::now();
        let mut shard = self.shard(request.hash);
        let there = shard.find(request).and_then(|it| it.block.as_ref());
        let fits = match there {
            Some(there) => there.is_renewed_by(renewal) || there.is_over(now),
            None => shard.has_room(),
        };
        if fits && shard.resets == mark.resets {
            shard.enter(request).block = Some(Box::new(block));
        }
    }

    /// Remembers a refusal, unless it may be from before a refund or a reset.
    pub(crate) fn remember(&self, request: Request<'_>, mark: Mark, refusal: Refusal) {
        let mut shard = self.shard(request.hash);
        let mended = (shard.refunds, shard.resets) != (mark.refunds, mark.resets);
        let is_kept = shard.find(request).is_some_and(|it| it.is_kept());
        if !mended && (is_kept || shard.has_room()) {
            shard.enter(request).refusal = Some(Box::new(refusal));
        }
    }

    /// After a refund: what was refused may be admitted.
    pub(crate) fn refunded(&self, key: &Key) {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        shard.refunds += 1;
        shard.change(key, hash, |identity| identity.refusal = None);
    }

    /// After a reset: what was taken before it was reset too.
    pub(crate) fn reset(&self, key: &Key) {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        shard.resets += 1;
        shard.change(key, hash, |identity| {
            identity.refusal = None;
            identity.block = None;
        });
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table takes the other end of the hash.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    const fn mark(&self, now: Instant) -> Mark {
        Mark {
            asked: now,
            refunds: self.refunds,
            resets: self.resets,
        }
    }

    /// What is known of the identity, or will be.
    fn enter(&mut self, request: Request<'_>) -> &mut Identity {
        let same = |known: &Identity| known.key == *request.key;
        let entry = self.known.entry(request.hash, same, |known| known.hash);
        entry
            .or_insert_with(|| Identity::unknown(request))
            .into_mut()
    }

    fn find(&mut self, request: Request<'_>) -> Option<&mut Identity> {
        let same = |known: &Identity| known.key == *request.key;
        self.known.find_mut(request.hash, same)
    }

    /// Changes an identity, and lets it go if nothing is known of it then.
    fn change(&mut self, key: &Key, hash: u64, change: impl FnOnce(&mut Identity)) {
        if let Ok(mut known) = self.known.find_entry(hash, |known| known.key == *key) {
            let identity = known.get_mut();
            change(identity);
            identity.groups.retain(|group| !group.is_idle());
            if identity.is_unknown() {
                known.remove();
            }
        }
    }

    /// Whether more can be kept, after letting go what doesn't hold any more.
    fn has_room(&mut self) -> bool {
        let now = Instant::now();
        let soon = |pruned| now < pruned + PRUNED_EVERY;
        if self.known.len() >= MOST_KNOWN && !self.pruned.is_some_and(soon) {
            self.pruned = Some(now);
            self.known.retain(|known| {
                known.prune(now);
                !known.is_unknown()
            });
        }
        self.known.len() < MOST_KNOWN
    }
}

impl Identity {
    fn unknown(request: Request<'_>) -> Self {
        Self {
            key: request.key.clone(),
            hash: request.hash,
            groups: SmallVec::new(),
            refusal: None,
            block: None,
        }
    }

    /// Admitted out of the block, or refused as before.
    fn known(&mut self, request: Request<'_>, now: Instant) -> Option<Decision> {
        let block = self.block.as_mut();
        let admitted = block.and_then(|block| block.spend(request, now));
        let refusal = self.refusal.as_ref();
        admitted.or_else(|| refusal?.recall(request, now))
    }

    fn join(&mut self, request: Request<'_>, most_alone: usize) -> Joined {
        if let Some(group) = self.group(request) {
            return group.join(most_alone);
        }
        if self.groups.len() == MOST_GROUPS {
            return Joined::Apart;
        }
        let mut group = Group::of(request);
        let joined = group.join(most_alone);
        if !group.is_idle() {
            self.groups.push(group);
        }
        joined
    }

    fn group(&mut self, request: Request<'_>) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.is_for(request))
    }

    fn prune(&mut self, now: Instant) {
        self.refusal.take_if(|refusal| now >= refusal.until);
        self.block.take_if(|block| block.is_over(now));
    }

    /// Whether it stays also when nobody asks for it.
    fn is_kept(&self) -> bool {
        self.refusal.is_some() || self.block.is_some()
    }

    fn is_unknown(&self) -> bool {
        self.groups.is_empty() && !self.is_kept()
    }
}
