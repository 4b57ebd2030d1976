//! One shared connection.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bb8::PooledConnection;
use redis::aio::MultiplexedConnection;

use crate::manager::{Connection, Manager};

/// A slot for a connection that any number of operations share. Taking it touches neither the pool nor a lock.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    live: ArcSwapOption<Live>,
    in_flight: AtomicUsize,
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Live {
    multiplexed: MultiplexedConnection,
    broken: Arc<AtomicBool>,
    /// When the first timeout since the last reply was, in milliseconds after `since`, plus one; 0 for none.
    silent_from: AtomicU64,
    since: Instant,
    /// Keeps the connection checked out, since the pool reaps what is returned.
    _owned: PooledConnection<'static, Manager>,
}

impl Live {
    pub(crate) fn new(owned: PooledConnection<'static, Manager>) -> Self {
        let Connection {
            multiplexed,
            broken,
        } = &*owned;
        Self {
            multiplexed: multiplexed.clone(),
            broken: Arc::clone(broken),
            silent_from: AtomicU64::new(0),
            since: Instant::now(),
            _owned: owned,
        }
    }

    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.multiplexed.clone()
    }

    /// Counts a reply: the connection is not hung.
    pub(crate) fn answered(&self) {
        if self.silent_from.load(Relaxed) != 0 {
            self.silent_from.store(0, Relaxed);
        }
    }

    /// Counts a timeout, and says for how long there have been timeouts and no reply.
    pub(crate) fn timed_out(&self) -> Duration {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX) + 1;
        let first = self.silent_from.compare_exchange(0, now, Relaxed, Relaxed);
        Duration::from_millis(now.saturating_sub(first.err().unwrap_or(now)))
    }
}

impl Lane {
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.live.load().is_none()
    }

    pub(crate) fn put(&self, live: Live) {
        self.live.store(Some(Arc::new(live)));
    }

    /// Takes the connection out of use, if it still is this one. It closes with its last request in flight.
    pub(crate) fn retire(&self, live: &Arc<Live>) -> bool {
        live.broken.store(true, Relaxed);
        let seen = self.live.compare_and_swap(live, None);
        seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, live))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Counts an operation for as long as the guard lives.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(&self.in_flight)
    }
}

/// An operation under way.
pub(crate) struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
