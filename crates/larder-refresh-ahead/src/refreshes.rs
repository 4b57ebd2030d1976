//! Which keys are being refreshed here, and which not for a while.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use larder_cache::{Claim, Error, Token};
use larder_store::Key;
use tokio::time::Instant;

/// No rest is longer than this: the clocks don't go on for ever.
const LONGEST_REST: Duration = Duration::from_secs(365 * 24 * 3600);
/// Keys that are remembered after a refresh that came to nothing.
const MOST_RESTING: usize = 10_000;

/// The refreshes of this process: one for a key at a time, a limited number of them, and a rest after each that failed.
pub(crate) struct Refreshes<V> {
    known: Mutex<Known<V>>,
    limits: Limits,
}

/// What refreshes are held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// At once.
    pub(crate) running: usize,
    /// The rest after the first failure; it doubles with each further one.
    pub(crate) backoff: Duration,
    /// The longest rest.
    pub(crate) longest_backoff: Duration,
}

struct Known<V> {
    keys: HashMap<Key, State<V>>,
    running: usize,
}

enum State<V> {
    Running {
        stamp: Token,
        /// Why the try before failed.
        error: Option<Error>,
    },
    /// The refresh of this entry came to nothing, or is made elsewhere.
    Resting {
        stamp: Token,
        failures: u32,
        until: Instant,
        /// Kept over the rest, so that no other process tries meanwhile.
        claim: Option<Kept<V>>,
        /// Why it failed.
        error: Option<Error>,
    },
}

/// A claim and when it was asked for.
pub(crate) type Kept<V> = Box<(Claim<V>, Instant)>;

impl<V> Refreshes<V> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            known: Mutex::new(Known {
                keys: HashMap::new(),
                running: 0,
            }),
            limits,
        }
    }

    /// Starts to refresh the entry with this stamp, unless that is under way, at rest, or one too many.
    pub(crate) fn start(self: &Arc<Self>, key: &Key, stamp: Token) -> Option<Running<V>> {
        let mut known = self.lock();
        if known.running >= self.limits.running {
            return None;
        }
        let (mut failures, mut claim, mut last) = (0, None, None);
        match known.keys.get_mut(key) {
            Some(State::Running { .. }) => return None,
            Some(State::Resting {
                stamp: at_rest,
                failures: failed,
                until,
                claim: kept,
                error,
            }) if *at_rest == stamp => {
                if Instant::now() < *until {
                    return None;
                }
                (failures, claim, last) = (*failed, kept.take(), error.take());
            }
            _ => {}
        }
        let running = State::Running { stamp, error: last };
        known.keys.insert(key.clone(), running);
        known.running += 1;
        drop(known);
        Some(Running {
            refreshes: Arc::clone(self),
            key: key.clone(),
            stamp,
            failures,
            claim,
            next: None,
        })
    }

    /// Forgets those at rest: their claims are given back.
    pub(crate) fn forget_resting(&self) {
        let mut known = self.lock();
        let at_rest = |_: &Key, state: &mut State<V>| matches!(state, State::Resting { .. });
        let resting: Vec<_> = known.keys.extract_if(at_rest).collect();
        drop(known);
        // A claim that is dropped calls the store's side of the cache, which needs no lock of this one.
        drop(resting);
    }

    /// Forgets how a key rests, so that others may claim its entry: readers wait for it by now.
    pub(crate) fn forget(&self, key: &Key) {
        let mut known = self.lock();
        let resting = matches!(known.keys.get(key), Some(State::Resting { .. }));
        let forgotten = resting.then(|| known.keys.remove(key));
        drop(known);
        drop(forgotten);
    }

    /// Why the last refresh of the entry with this stamp failed, if it did.
    pub(crate) fn last_error(&self, key: &Key, stamp: Token) -> Option<Error> {
        match self.lock().keys.get(key)? {
            State::Running { stamp: of, error }
            | State::Resting {
                stamp: of, error, ..
            } => error.clone().filter(|_| *of == stamp),
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.lock().running
    }

    /// The end of a refresh: nothing more to know about the key, or how it rests.
    fn end(&self, key: &Key, next: Option<State<V>>) {
        let mut known = self.lock();
        known.running -= 1;
        let gone = known.keys.remove(key);
        let mut expired = Vec::new();
        if let Some(next) = next {
            if known.keys.len() >= MOST_RESTING {
                let now = Instant::now();
                expired.extend(known.keys.extract_if(|_, state| state.is_over(now)));
            }
            if known.keys.len() < MOST_RESTING {
                known.keys.insert(key.clone(), next);
            }
        }
        drop(known);
        drop((gone, expired));
    }

    fn lock(&self) -> MutexGuard<'_, Known<V>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> State<V> {
    fn is_over(&self, now: Instant) -> bool {
        matches!(self, Self::Resting { until, .. } if *until <= now)
    }
}

impl<V> fmt::Debug for Refreshes<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.lock();
        f.debug_struct("Refreshes")
            .field("running", &known.running)
            .field("resting", &(known.keys.len() - known.running))
            .finish_non_exhaustive()
    }
}

/// A refresh under way. Dropped without a word, as by a panic, it has failed.
pub(crate) struct Running<V> {
    refreshes: Arc<Refreshes<V>>,
    key: Key,
    pub(crate) stamp: Token,
    failures: u32,
    claim: Option<Kept<V>>,
    next: Option<Next<V>>,
}

enum Next<V> {
    Nothing,
    Rest(State<V>),
}

impl<V> Running<V> {
    /// The claim of the last try, if it was kept and still is one.
    pub(crate) fn kept_claim(&mut self, lifetime: Duration) -> Option<Kept<V>> {
        self.claim.take().filter(|kept| kept.1.elapsed() < lifetime)
    }

    /// It is done, or the entry is another one by now.
    pub(crate) fn done(mut self) {
        self.next = Some(Next::Nothing);
    }

    /// Someone else is at it: no use in asking again for this long.
    pub(crate) fn elsewhere(mut self, rest: Duration) {
        self.next = Some(Next::Rest(State::Resting {
            stamp: self.stamp,
            failures: self.failures,
            until: Instant::now() + rest,
            claim: None,
            error: None,
        }));
    }

    /// It failed because of this, with or without the claim in hand.
    pub(crate) fn failed(mut self, claim: Option<Kept<V>>, error: Error) {
        self.next = Some(Next::Rest(self.rest(claim, Some(error))));
    }

    fn rest(&self, claim: Option<Kept<V>>, error: Option<Error>) -> State<V> {
        let Limits {
            backoff,
            longest_backoff,
            ..
        } = self.refreshes.limits;
        let rest = backoff.saturating_mul(1 << self.failures.min(16));
        State::Resting {
            stamp: self.stamp,
            failures: self.failures.saturating_add(1),
            until: Instant::now() + rest.min(longest_backoff).min(LONGEST_REST),
            claim,
            error,
        }
    }
}

impl<V> Drop for Running<V> {
    fn drop(&mut self) {
        let next = match self.next.take() {
            Some(Next::Nothing) => None,
            Some(Next::Rest(state)) => Some(state),
            None => Some(self.rest(None, None)),
        };
        self.refreshes.end(&self.key, next);
    }
}
