//! Counting.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened so far, counted since the limiter was built, by all its handles.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters behind [`Stats`]; one atomic addition each.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Requests that were admitted, whoever decided. Peeks and refunds are not requests.
    allowed,
    /// Requests that were refused by a quota, whoever decided.
    denied,
    /// Requests that were refused without asking, since the refusal before still held.
    denied_by_memory,
    /// Requests that waited to be decided together with others of the same identity, however many those were.
    decided_together,
    /// Requests that were admitted out of a block of leased quota.
    decided_by_lease,
    /// Operations the store failed; where requests travelled together, each of them.
    store_errors,
    /// Of those the ones that don't pass by themselves: refused credentials, a store that was shut down, a server's own error.
    /// Somebody must do something.
    permanent_errors,
    /// Requests that were admitted since the store was down.
    failed_open,
    /// Requests that got the store's error since the limiter fails closed.
    failed_closed,
    /// Requests that the limiter of this process decided since the store was down.
    decided_locally,
    /// Records under a limiter's key that are somebody else's.
    foreign,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
