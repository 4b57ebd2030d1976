//! How long entries live.

use std::time::Duration;

use crate::token::Token;

/// "For ever" means this: no store can count much further.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The lifetimes of a keyspace's entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    /// How long a value counts as fresh.
    pub(crate) ttl: Duration,
    /// How long "there is none" counts as fresh; `None` doesn't store it.
    pub(crate) negative_ttl: Option<Duration>,
    /// The share of the TTL that is drawn by lot and taken off, so that entries written together don't
    /// expire together.
    pub(crate) jitter: f64,
    /// How long an entry is kept past its TTL, to be served if the loader fails.
    pub(crate) grace: Duration,
}

impl Expiry {
    /// How long an entry counts as fresh, given what the loader wants; `None` if it is not to be stored.
    pub(crate) fn soft_ttl(
        &self,
        negative: bool,
        wanted: Option<Duration>,
        lot: Token,
    ) -> Option<Duration> {
        let usual = if negative {
            self.negative_ttl
        } else {
            Some(self.ttl)
        };
        let ttl = wanted.or(usual).filter(|ttl| !ttl.is_zero())?.min(LONGEST);
        Some(ttl.mul_f64(self.jitter.mul_add(-lot.fraction(), 1.0)))
    }

    /// How long the record lives.
    pub(crate) const fn record_ttl(&self, soft_ttl: Duration) -> Duration {
        soft_ttl.saturating_add(self.grace)
    }
}
