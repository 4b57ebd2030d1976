//! Counting.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened so far, counted since the cache was built.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// The time all loads together took.
            pub load_time: Duration,
        }

        /// The counters behind [`Stats`]; one atomic addition each.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            pub(crate) load_time_us: Counter,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats {
                    $($name: self.$name.get(),)*
                    load_time: Duration::from_micros(self.load_time_us.get()),
                }
            }
        }
    };
}

counters! {
    /// Reads answered by a fresh entry of the store, negative ones included.
    hits,
    /// Those of the hits that were negative entries.
    negative_hits,
    /// Reads that found no fresh entry.
    misses,
    /// Keys asked of the loader.
    loads,
    /// Keys the loader failed or timed out on.
    load_errors,
    /// Reads answered by another caller's load.
    coalesced,
    /// Entries loaded again before they expired.
    refreshed,
    /// Refreshes whose load failed, or whose result could not be stored.
    refresh_errors,
    /// Reads answered by an entry past its TTL, within its grace.
    stale_served,
    /// Loads not stored, since the lease or claim was gone by then.
    superseded,
    /// Database writes in the bracket; a batch counts once.
    writes,
    /// Those of the writes that failed, or whose caller went away.
    write_errors,
    /// Entries that writers stored.
    stored,
    /// Operations the store failed.
    store_errors,
    /// Records that could not be decoded, or were foreign.
    undecodable,
    /// Invalidations that had to be put off since the store could not be reached.
    deferred,
    /// Invalidations given up, since too many were put off already.
    deferred_dropped,
}

impl Stats {
    /// The share of reads that the store answered; `0.0` before the first read.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        let reads = self.hits + self.misses;
        if reads == 0 {
            return 0.0;
        }
        self.hits as f64 / reads as f64
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
