//! One flight.

use std::time::Duration;

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::LONGEST_WAIT;
use crate::sync::{
    Arc, AtomicBool, AtomicU32, AtomicU64, OnceLock,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};

/// Marks a flight, in its count of followers, that nobody can join any more.
const OVER: u32 = 1 << 31;

/// A piece of work and its outcome.
pub(crate) struct Flight<T> {
    outcome: OnceLock<Result<T, Lost>>,
    landed: Notify,
    followers: AtomicU32,
    sealed: AtomicBool,
    /// When its work began, by the clock of the flights; 0 before.
    began: AtomicU64,
    /// Disowns the leader at its deadline; there from the first follower on.
    watchdog: OnceLock<AbortHandle>,
}

/// Why a flight has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The leader panicked.
    Panicked,
    /// The leader went away, and nobody could take over.
    Abandoned,
    /// The leader was not done within the patience of its followers.
    Disowned,
}

/// The answer to an attempt to join.
pub(super) enum Joined {
    Yes { first: bool },
    Full,
    Over,
}

impl<T> Flight<T> {
    pub(super) fn new() -> Self {
        Self {
            outcome: OnceLock::new(),
            landed: Notify::new(),
            followers: AtomicU32::new(0),
            sealed: AtomicBool::new(false),
            began: AtomicU64::new(0),
            watchdog: OnceLock::new(),
        }
    }

    pub(super) fn join(&self, most: u32) -> Joined {
        if self.outcome.get().is_some() {
            return Joined::Over;
        }
        let mut followers = self.followers.load(Acquire);
        loop {
            if followers & OVER != 0 {
                return Joined::Over;
            }
            if followers >= most {
                return Joined::Full;
            }
            let joined =
                self.followers
                    .compare_exchange_weak(followers, followers + 1, AcqRel, Acquire);
            match joined {
                Ok(_) => {
                    let first = followers == 0 && self.watchdog.get().is_none();
                    return Joined::Yes { first };
                }
                Err(now) => followers = now,
            }
        }
    }

    /// Lets nobody join any more, unless there are followers already. Says whether there are.
    pub(super) fn is_followed_or_close(&self) -> bool {
        let closed = self.followers.compare_exchange(0, OVER, AcqRel, Acquire);
        self.outcome.get().is_none() && closed.is_err()
    }

    /// From here on, those who join are late.
    pub(super) fn seal(&self) {
        self.sealed.store(true, SeqCst);
    }

    pub(super) fn begin(&self, time: u64) {
        self.began.store(time, SeqCst);
    }

    pub(super) fn began(&self) -> u64 {
        self.began.load(SeqCst)
    }

    /// The first outcome is the one.
    pub(super) fn finish(&self, outcome: Result<T, Lost>) {
        if self.outcome.set(outcome).is_ok() {
            self.landed.notify_waiters();
        }
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.abort();
        }
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.abort();
        }
    }
}

/// A caller that waits for the outcome of a flight.
pub(crate) struct Follower<T> {
    flight: Arc<Flight<T>>,
    early: bool,
}

impl<T> Follower<T> {
    pub(super) fn new(flight: Arc<Flight<T>>) -> Self {
        let early = !flight.sealed.load(SeqCst);
        Self { flight, early }
    }

    /// Whether it joined before the flight was sealed.
    pub(crate) const fn is_early(&self) -> bool {
        self.early
    }

    /// Waits until the flight is over.
    pub(crate) async fn landed(&self) {
        loop {
            // Made before the look at the outcome, so that it hears of one that comes in between.
            let landed = self.flight.landed.notified();
            if self.flight.outcome.get().is_some() {
                return;
            }
            landed.await;
        }
    }

    /// The outcome.
    pub(crate) async fn outcome(&self) -> Result<T, Lost>
    where
        T: Clone,
    {
        self.landed().await;
        let outcome = self.flight.outcome.get();
        outcome.cloned().unwrap_or(Err(Lost::Abandoned))
    }
}

impl<T: Send + Sync + 'static> Follower<T> {
    /// Disowns the leader when the patience is at its end. One timer for all followers.
    pub(super) fn watch(&self, patience: Duration) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let flight = Arc::downgrade(&self.flight);
        let end = Instant::now() + patience.min(LONGEST_WAIT);
        let watchdog = runtime.spawn(async move {
            sleep_until(end).await;
            if let Some(flight) = flight.upgrade() {
                flight.finish(Err(Lost::Disowned));
            }
        });
        let watchdog = watchdog.abort_handle();
        if self.flight.outcome.get().is_some() {
            watchdog.abort();
        }
        let _ = self.flight.watchdog.set(watchdog);
    }
}

impl<T> Drop for Follower<T> {
    fn drop(&mut self) {
        self.flight.followers.fetch_sub(1, Relaxed);
    }
}
