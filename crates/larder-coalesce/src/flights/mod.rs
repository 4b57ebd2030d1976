//! Work under way in this process, and who waits for it.

mod flight;
mod handover;
mod leader;

pub(crate) use flight::{Flight, Follower, Lost};
pub(crate) use handover::Handover;
pub(crate) use leader::Leader;

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hash},
    time::Duration,
};

use flight::Joined;
use hashbrown::{HashTable, hash_table::Entry};

use crate::sync::{
    Arc, AtomicU64, AtomicUsize, Mutex, MutexGuard,
    Ordering::{Relaxed, SeqCst},
    PoisonError,
};

const SHARDS: usize = 16;

/// A name with its hash, which is computed once, and its flight.
type Named<I, T> = (u64, I, Arc<Flight<T>>);
type Shard<I, T> = Mutex<HashTable<Named<I, T>>>;

/// The flights under way, each by its name. A flight is one piece of work: whoever enters first leads it, the others
/// follow and get its outcome.
pub(crate) struct Flights<I, T> {
    shards: Box<[Shard<I, T>]>,
    hasher: RandomState,
    under_way: AtomicUsize,
    /// Counts the beginnings of work that is named alone.
    clock: AtomicU64,
    limits: Limits,
}

/// No wait is longer than this: the clocks don't go on for ever.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What flights are held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Flights at once.
    pub(crate) flights: usize,
    /// Followers of one flight.
    pub(crate) followers: u32,
    /// How long followers wait for a leader before they disown it.
    pub(crate) patience: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        flights: 10_000,
        followers: 10_000,
        patience: Duration::from_secs(30),
    };
}

/// How a caller came in.
pub(crate) enum Entered<I: Hash + Eq, T> {
    /// As the first: do the work.
    Lead(Leader<I, T>),
    /// Someone is at it.
    Follow(Follower<T>),
    /// Too many are under way, or follow already.
    Full,
}

impl<I: Hash + Eq, T> Flights<I, T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashTable::new())).collect(),
            hasher: RandomState::new(),
            under_way: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            limits,
        }
    }

    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// What time it is, for [`join_begun_after`](Self::join_begun_after).
    pub(crate) fn now(&self) -> u64 {
        self.clock.load(SeqCst)
    }

    /// How many names are taken, for tests of leaks.
    #[cfg(test)]
    pub(crate) fn names(&self) -> usize {
        let names =
            |shard: &Shard<I, T>| shard.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(names).sum()
    }

    /// For how many names there is room, likewise.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        let room = |shard: &Shard<I, T>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.capacity()
        };
        self.shards.iter().map(room).sum()
    }

    fn hash(&self, id: &I) -> u64 {
        self.hasher.hash_one(id)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, HashTable<Named<I, T>>> {
        // The table itself goes by the lowest and the highest bits.
        self.shards[(hash >> 32) as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the name for this flight, whoever had it.
    fn register(&self, hash: u64, id: I, flight: Arc<Flight<T>>) {
        match self
            .shard(hash)
            .entry(hash, |named| named.1 == id, |named| named.0)
        {
            Entry::Occupied(mut named) => named.get_mut().2 = flight,
            Entry::Vacant(room) => {
                room.insert((hash, id, flight));
            }
        }
    }

    /// Gives the name up, if it is this flight's.
    fn unregister(&self, hash: u64, flight: &Arc<Flight<T>>) {
        let mut shard = self.shard(hash);
        if let Ok(named) = shard.find_entry(hash, |named| Arc::ptr_eq(&named.2, flight)) {
            named.remove();
        }
    }
}

impl<I: Hash + Eq + Clone, T: Send + Sync + 'static> Flights<I, T> {
    /// Joins the flight of this name, or leads a new one.
    pub(crate) fn enter(self: &Arc<Self>, id: &I) -> Entered<I, T> {
        let hash = self.hash(id);
        let mut shard = self.shard(hash);
        let place = shard.entry(hash, |named| named.1 == *id, |named| named.0);
        if let Entry::Occupied(named) = &place {
            let flight = &named.get().2;
            match flight.join(self.limits.followers) {
                Joined::Yes { first } => {
                    let flight = Arc::clone(flight);
                    drop(shard);
                    return Entered::Follow(self.follower(flight, first));
                }
                Joined::Full => return Entered::Full,
                Joined::Over => {}
            }
        }
        if self.under_way.fetch_add(1, Relaxed) >= self.limits.flights {
            self.under_way.fetch_sub(1, Relaxed);
            return Entered::Full;
        }
        let flight = Arc::new(Flight::new());
        place.insert((hash, id.clone(), Arc::clone(&flight)));
        drop(shard);
        Entered::Lead(Leader::new(Arc::clone(self), hash, flight))
    }

    fn follower(&self, flight: Arc<Flight<T>>, first: bool) -> Follower<T> {
        let follower = Follower::new(flight);
        if first {
            follower.watch(self.limits.patience);
        }
        follower
    }

    /// Joins the flight of this name, if its work began after that time.
    pub(crate) fn join_begun_after(&self, id: &I, time: u64) -> Option<Follower<T>> {
        let hash = self.hash(id);
        let shard = self.shard(hash);
        let (_, _, flight) = shard.find(hash, |named| named.1 == *id)?;
        if flight.began() <= time {
            return None;
        }
        let Joined::Yes { first } = flight.join(self.limits.followers) else {
            return None;
        };
        let flight = Arc::clone(flight);
        drop(shard);
        Some(self.follower(flight, first))
    }

    /// The flight of this name, to wait for its end; otherwise the name is this flight's from now on.
    fn join_or_register(&self, hash: u64, id: &I, flight: &Arc<Flight<T>>) -> Option<Follower<T>> {
        let mut shard = self.shard(hash);
        let place = shard.entry(hash, |named| named.1 == *id, |named| named.0);
        if let Entry::Occupied(named) = &place
            && let Joined::Yes { first } = named.get().2.join(u32::MAX >> 1)
        {
            let other = Arc::clone(&named.get().2);
            drop(shard);
            return Some(self.follower(other, first));
        }
        place.insert((hash, id.clone(), Arc::clone(flight)));
        None
    }
}

impl<I, T> fmt::Debug for Flights<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("under_way", &self.under_way)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
