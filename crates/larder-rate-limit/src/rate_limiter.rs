//! The limiter.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use larder_store::{CacheKey, Key, Namespace, Reply, Store, Update};
use tokio::time::{Instant, sleep};

use crate::{
    Algorithm, Decision, Error, ErrorKind, Quota, RateLimiterBuilder, Result, RetryAfter, Stats,
    decision::DecidedBy,
    local::Local,
    plan::{Action, Plan},
    reset,
    stats::Counters,
};

/// Limits how often an identity (a user, an address, a tenant and a route) may do something.
///
/// Cloning gives another handle on the same limiter. Processes that build one of the same name over the same store limit
/// together.
///
/// ```
/// use larder_memory::MemoryStore;
/// use larder_rate_limit::{Quota, RateLimiter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder_rate_limit::Error> {
/// let limiter = RateLimiter::<str>::builder(MemoryStore::new(10_000), "login")
///     .quota(Quota::per_minute(5))
///     .build()?;
///
/// let decision = limiter.check("ada@example.org").await?;
/// assert!(decision.allowed);
/// assert_eq!(decision.remaining, 4);
/// # Ok(())
/// # }
/// ```
pub struct RateLimiter<K: ?Sized> {
    shared: Arc<Shared>,
    plan: Arc<Plans>,
    identity: PhantomData<fn(&K)>,
}

/// What handles with other quotas have in common.
pub(crate) struct Shared {
    store: Arc<dyn Store>,
    namespace: Namespace,
    policy: Policy,
    local: Local,
    counters: Counters,
}

/// What is done while the store is down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Policy {
    Open,
    Closed,
    /// A limiter in this process, with this share.
    Local(f64),
}

/// The quotas, and this process' share of them for when the store is down.
struct Plans {
    plan: Plan,
    local: Option<Plan>,
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn Store>, namespace: Namespace, policy: Policy) -> Self {
        Self {
            store,
            namespace,
            policy,
            local: Local::new(),
            counters: Counters::default(),
        }
    }

    fn plans(&self, plan: Plan) -> Result<Plans> {
        let local = match self.policy {
            Policy::Local(share) => Some(plan.share(share)?),
            Policy::Open | Policy::Closed => None,
        };
        Ok(Plans { plan, local })
    }
}

impl<K: CacheKey + ?Sized> RateLimiter<K> {
    /// Settings of a limiter over this store. The name keeps limiters apart; caches of that name are elsewhere.
    pub fn builder(store: impl Into<Arc<dyn Store>>, name: &str) -> RateLimiterBuilder<K> {
        RateLimiterBuilder::new(store, name)
    }

    pub(crate) fn new(shared: Shared, plan: Plan) -> Result<Self> {
        let plans = shared.plans(plan)?;
        Ok(Self::with(Arc::new(shared), plans))
    }

    fn with(shared: Arc<Shared>, plans: Plans) -> Self {
        Self {
            shared,
            plan: Arc::new(plans),
            identity: PhantomData,
        }
    }

    /// A handle on the same limiter with other quotas, such as those of a tenant. It has the same identities, counters and
    /// policy; for an identity that is limited by other quotas than the last time, the share of each that was spent
    /// is kept. Keep the handle: making it costs some allocations.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], as [`RateLimiterBuilder::build`].
    pub fn with_quotas(&self, quotas: impl IntoIterator<Item = Quota>) -> Result<Self> {
        let plan = Plan::new(self.algorithm(), quotas.into_iter().collect())?;
        let plans = self.shared.plans(plan)?;
        Ok(Self::with(Arc::clone(&self.shared), plans))
    }

    /// Asks for one. One round trip.
    ///
    /// # Errors
    /// [`ErrorKind::IdentityTooLong`], [`ErrorKind::Foreign`] and, if the limiter fails closed, [`ErrorKind::Store`].
    ///
    /// # Cancellation
    /// If the future is dropped it may have spent, or may still spend.
    pub async fn check(&self, id: &K) -> Result<Decision> {
        self.check_n(id, 1).await
    }

    /// Asks for `cost` at once, all or nothing; nothing at all for a cost of 0.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn check_n(&self, id: &K, cost: u64) -> Result<Decision> {
        let decision = self.run(id, Action::Spend(cost)).await;
        self.counted(decision)
    }

    /// Asks for several identities in one round trip, each decided by itself, and in this order where one comes twice.
    pub async fn check_many(&self, checks: &[(&K, u64)]) -> Vec<Result<Decision>> {
        let keys: Vec<_> = checks.iter().map(|(id, _)| self.key(id)).collect();
        let action = |cost: u64| Action::Spend(cost);
        let pairs = keys.iter().zip(checks);
        let updates: Vec<(Key, Update)> = pairs
            .filter_map(|(key, (_, cost))| {
                Some((key.clone().ok()?, self.plan.plan.update(action(*cost))))
            })
            .collect();
        let mut replies = self.update_many(&updates).await.into_iter();
        let decide = |(key, (_, cost)): (Result<Key>, &(&K, u64))| {
            let key = key?;
            let reply = replies.next().unwrap_or_else(|| Err(lost()));
            let decision = self.decide(&key, action(*cost), reply);
            self.counted(decision)
        };
        keys.into_iter().zip(checks).map(decide).collect()
    }

    /// How the identity stands: what one more request would find. Writes nothing. One round trip.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn peek(&self, id: &K) -> Result<Decision> {
        self.run(id, Action::Peek).await
    }

    /// Gives back what was spent, for work that was not done after all, and says how the identity stands then. Never more
    /// than there is room for.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn refund(&self, id: &K, cost: u64) -> Result<Decision> {
        self.run(id, Action::Refund(cost)).await
    }

    /// Forgets what the identity spent. One round trip.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] whatever the limiter's policy is, [`ErrorKind::IdentityTooLong`], [`ErrorKind::Foreign`].
    pub async fn reset(&self, id: &K) -> Result<()> {
        let key = self.key(id)?;
        self.shared.local.forget(&key);
        let update = Update::new(&reset::SCRIPT);
        let reply = self.shared.store.update(&key, &update).await;
        let reply = reply.map_err(|error| self.failed(error))?;
        reset::done(&reply).inspect_err(|error| self.count_foreign(error))
    }

    /// Waits until one is admitted, but not beyond the deadline, which counts from now. See
    /// [`until_ready_n`](Self::until_ready_n).
    ///
    /// # Errors
    /// As [`until_ready_n`](Self::until_ready_n).
    pub async fn until_ready(&self, id: &K, deadline: Duration) -> Result<Decision> {
        self.until_ready_n(id, 1, deadline).await
    }

    /// Waits until `cost` is admitted, but not beyond the deadline, which counts from now. It sleeps as long as the last
    /// refusal said, and asks again; it is not a queue: who comes later may be admitted earlier.
    ///
    /// # Errors
    /// [`ErrorKind::DeadlineExceeded`] as soon as it is known that the deadline would pass, [`ErrorKind::NeverAdmitted`],
    /// and those of [`check`](Self::check).
    ///
    /// # Cancellation
    /// While it sleeps nothing is spent; otherwise as [`check`](Self::check).
    pub async fn until_ready_n(&self, id: &K, cost: u64, deadline: Duration) -> Result<Decision> {
        let started = Instant::now();
        loop {
            let decision = self.check_n(id, cost).await?;
            if decision.allowed {
                return Ok(decision);
            }
            let left = deadline.saturating_sub(started.elapsed());
            match decision.retry_after {
                RetryAfter::After(wait) if wait <= left => sleep(wait).await,
                RetryAfter::After(_) => return Err(too_late()),
                RetryAfter::Never => return Err(never()),
            }
        }
    }

    /// What happened so far, by all handles.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// The quotas, in order.
    #[must_use]
    pub fn quotas(&self) -> &[Quota] {
        self.plan.plan.quotas()
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.plan.plan.algorithm()
    }

    fn key(&self, id: &K) -> Result<Key> {
        Ok(self.shared.namespace.key(id)?)
    }

    async fn run(&self, id: &K, action: Action) -> Result<Decision> {
        let key = self.key(id)?;
        let update = self.plan.plan.update(action);
        let reply = self.shared.store.update(&key, &update).await;
        self.decide(&key, action, reply)
    }

    async fn update_many(&self, updates: &[(Key, Update)]) -> Vec<larder_store::Result<Reply>> {
        if updates.is_empty() {
            return Vec::new();
        }
        match self.shared.store.update_many(updates).await {
            Ok(replies) => replies,
            Err(error) => vec![Err(error); updates.len()],
        }
    }

    /// What the store's reply says or, if it failed, what the policy says.
    fn decide(
        &self,
        key: &Key,
        action: Action,
        reply: larder_store::Result<Reply>,
    ) -> Result<Decision> {
        let decision = match reply {
            Ok(reply) => self.plan.plan.decision(action, reply),
            Err(error) => Err(error.into()),
        };
        match decision {
            Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => {
                self.shared.counters.store_errors.increment();
                self.without_store(key, action, error)
            }
            decision => decision.inspect_err(|error| self.count_foreign(error)),
        }
    }

    fn without_store(&self, key: &Key, action: Action, error: Error) -> Result<Decision> {
        match (self.shared.policy, &self.plan.local) {
            (Policy::Local(_), Some(plan)) => {
                let reply = self.shared.local.update(key, &plan.update(action));
                let decision = plan.decision(action, reply)?;
                Ok(decision.locally(error))
            }
            (Policy::Open, _) => Ok(Decision::open(self.quotas(), error)),
            _ => Err(error),
        }
    }

    fn failed(&self, error: larder_store::Error) -> Error {
        let error = Error::from(error);
        match error.kind() {
            ErrorKind::Store(_) => self.shared.counters.store_errors.increment(),
            _ => self.count_foreign(&error),
        }
        error
    }

    fn count_foreign(&self, error: &Error) {
        if error.kind() == ErrorKind::Foreign {
            self.shared.counters.foreign.increment();
        }
    }

    /// Counts what became of a request.
    fn counted(&self, decision: Result<Decision>) -> Result<Decision> {
        let counters = &self.shared.counters;
        match &decision {
            Ok(decision) => {
                match decision.decided_by {
                    DecidedBy::Store => {}
                    DecidedBy::Local => counters.decided_locally.increment(),
                    DecidedBy::Policy => counters.failed_open.increment(),
                }
                if decision.allowed {
                    counters.allowed.increment();
                } else {
                    counters.denied.increment();
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => {
                counters.failed_closed.increment();
            }
            Err(_) => {}
        }
        decision
    }
}

fn lost() -> larder_store::Error {
    larder_store::Error::new(
        larder_store::ErrorKind::Protocol,
        "the store left an update without a reply",
    )
}

fn too_late() -> Error {
    Error::new(
        ErrorKind::DeadlineExceeded,
        "the deadline would pass before the request is admitted",
    )
}

fn never() -> Error {
    Error::new(
        ErrorKind::NeverAdmitted,
        "the cost is over the burst: ask for less at once, or raise the burst",
    )
}

impl<K: ?Sized> Clone for RateLimiter<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            plan: Arc::clone(&self.plan),
            identity: PhantomData,
        }
    }
}

impl<K: ?Sized> fmt::Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("namespace", &self.shared.namespace)
            .field("algorithm", &self.plan.plan.algorithm())
            .field("quotas", &self.plan.plan.quotas())
            .field("policy", &self.shared.policy)
            .finish_non_exhaustive()
    }
}
