//! Settings of a limiter.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use larder_store::{CacheKey, Namespace, Store};

use crate::{
    Algorithm, Error, Quota, RateLimiter, Result,
    plan::Plan,
    shared::{Policy, Shared},
};

/// The longest lifetime of a block.
const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

/// Settings of a [`RateLimiter`]; from [`RateLimiter::builder`].
#[must_use = "a builder does nothing until it builds"]
pub struct RateLimiterBuilder<K: ?Sized> {
    store: Arc<dyn Store>,
    name: String,
    algorithm: Algorithm,
    quotas: Vec<Quota>,
    policy: Policy,
    leased: Option<Duration>,
    identity: PhantomData<fn(&K)>,
}

impl<K: CacheKey + ?Sized> RateLimiterBuilder<K> {
    pub(crate) fn new(store: impl Into<Arc<dyn Store>>, name: &str) -> Self {
        Self {
            store: store.into(),
            name: name.to_owned(),
            algorithm: Algorithm::default(),
            quotas: Vec::new(),
            policy: Policy::Open,
            leased: None,
            identity: PhantomData,
        }
    }

    /// How requests are counted, against all quotas. The default: [`Algorithm::Gcra`].
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Adds a quota. A request is admitted if all of them admit it, and spends of none otherwise.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quotas.push(quota);
        self
    }

    /// Adds another quota; the same as [`quota`](Self::quota).
    pub fn and(self, quota: Quota) -> Self {
        self.quota(quota)
    }

    /// Leased quota, for rates that one Redis can't serve: each process takes tokens from the store in blocks and spends them by
    /// itself. A block is spent within this time, of a day at the most, or lost. Where one is used up the next one is twice as large, up
    /// to a tenth of the capacity; where it runs out, as large as what was used of it. For GCRA and the token bucket; over a store in
    /// this process, where asking costs nothing, it has no effect.
    ///
    /// What it costs in exactness: in any window no more is admitted than `burst + rate * (window + lifetime)`; and each process
    /// may keep up to a block from the others for its lifetime, and lose it. Where the quota is used up a process waits until there is
    /// a whole block again, for half the lifetime and 1 s at the most, and refuses meanwhile; `retry_after` tells that time.
    /// [`peek`](RateLimiter::peek) takes what is in blocks for spent. While the store is down a block is spent all the same, whatever
    /// the policy is.
    pub fn leased(mut self, lifetime: Duration) -> Self {
        self.leased = Some(lifetime);
        self
    }

    /// While the store is down everything is admitted that is not over a quota's capacity. This is the default.
    ///
    /// "Down" is every error of kind [`Store`](crate::ErrorKind::Store), for this and the other policies: also those that
    /// don't pass by themselves, as refused credentials, a store that was shut down, or a server without the script's commands.
    /// Watch [`Stats::permanent_errors`](crate::Stats::permanent_errors), or the limiter stays open for ever.
    pub fn fail_open(mut self) -> Self {
        self.policy = Policy::Open;
        self
    }

    /// While the store is down callers get its error, of kind [`Store`](crate::ErrorKind::Store).
    pub fn fail_closed(mut self) -> Self {
        self.policy = Policy::Closed;
        self
    }

    /// While the store is down each process limits by itself, to this part of every quota, at least one: with four
    /// processes, `0.25`. What was spent before is not known to it, nor is what it admits to the store. Limits and bursts are
    /// rounded down: of 7 a minute half is 3. A cost over its part of a quota is refused while the store is down, and told to come again
    /// in a second.
    pub fn fail_local(mut self, part: f64) -> Self {
        self.policy = Policy::Local(part);
        self
    }

    /// The limiter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a bad name, no quota or more than 16, a quota that its algorithm
    /// can't count (a zero, a burst of a window, too large a limit), or a part outside of 0.0 to 1.0, or of 0.0.
    pub fn build(self) -> Result<RateLimiter<K>> {
        let namespace = Namespace::of_kind(&self.name, self.algorithm.kind()).map_err(bad_name)?;
        let plan = Plan::new(self.algorithm, self.quotas)?;
        if matches!(self.policy, Policy::Local(part) if !(part > 0.0 && part <= 1.0)) {
            return Err(Error::config(
                "the part of a local limiter is more than 0.0 and at most 1.0",
            ));
        }
        if let Some(lifetime) = self.leased {
            let sound = !lifetime.is_zero() && lifetime <= LONGEST_LEASE;
            if !sound || !self.algorithm.flows_back() {
                return Err(Error::config(
                    "leased quota needs a lifetime above zero and of a day at most, and GCRA or the token bucket",
                ));
            }
        }
        let shared = Shared::new(self.store, namespace, self.policy, self.leased);
        RateLimiter::new(shared, plan)
    }
}

fn bad_name(error: larder_store::Error) -> Error {
    let message = "a limiter's name has 1 to 64 characters out of A-Z a-z 0-9 . _ -";
    Error::config(message).with_source(error)
}

impl<K: ?Sized> std::fmt::Debug for RateLimiterBuilder<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiterBuilder")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .field("quotas", &self.quotas)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
