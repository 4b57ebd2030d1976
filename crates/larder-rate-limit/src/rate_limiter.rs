//! The limiter.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use larder_store::{CacheKey, Key, Store, Update};
use tokio::time::{Instant, sleep};

use crate::{
    Algorithm, Decision, Error, ErrorKind, Quota, RateLimiterBuilder, Result, RetryAfter, Stats,
    on_drop::OnDrop,
    plan::{Action, Plan},
    request::Request,
    reset,
    shared::{Plans, Shared, lost},
    together,
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
    plans: Arc<Plans>,
    identity: PhantomData<fn(&K)>,
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
            plans: Arc::new(plans),
            identity: PhantomData,
        }
    }

    /// A handle on the same limiter with other quotas, such as those of a tenant. It has the same identities, counters and
    /// policy; for an identity that is limited by other quotas than the last time, the proportion of each that was spent
    /// is kept. Quotas that this handle doesn't have are left as they are. Keep the handle: making it costs some
    /// allocations.
    ///
    /// The quotas must follow from the identity. What was spent comes back at the rate of the quota that was written last: a
    /// caller who can choose it, by a route, a header or a plan of his own, gains without bound. Whatever callers can choose
    /// belongs into the identity, as in `(tenant, route)`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], as [`RateLimiterBuilder::build`].
    pub fn with_quotas(&self, quotas: impl IntoIterator<Item = Quota>) -> Result<Self> {
        let plan = Plan::new(self.algorithm(), quotas.into_iter().collect())?;
        let plans = self.shared.plans(plan)?;
        Ok(Self::with(Arc::clone(&self.shared), plans))
    }

    /// Asks for one. One round trip, or none where the process knows; a few where many ask for the same at once, or quota is leased.
    ///
    /// # Errors
    /// [`ErrorKind::IdentityTooLong`], [`ErrorKind::Foreign`] and, if the limiter fails closed, [`ErrorKind::Store`].
    ///
    /// # Cancellation
    /// If the future is dropped it may have spent, or may still spend.
    pub async fn check(&self, id: &K) -> Result<Decision> {
        self.check_n(id, 1).await
    }

    /// Asks for `cost` at once, all or nothing; nothing at all for a cost of 0. A cost over a quota's capacity is refused, also
    /// while the store is down, whatever the policy is.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn check_n(&self, id: &K, cost: u64) -> Result<Decision> {
        let key = self.key(id)?;
        let action = Action::Spend(cost);
        let answer = match self.shared.ask_ready(&key, &self.plans, action) {
            Some(answer) => answer,
            None if cost == 0 => self.shared.ask(&key, &self.plans, action).await,
            None => together::decide(&self.shared, self.request(&key, cost)).await,
        };
        self.shared.decided(&self.plans, &key, cost, answer)
    }

    /// Asks for several identities in one round trip, each decided by itself, and in this order where one comes twice.
    ///
    /// # Errors
    /// Each has its own, as [`check`](Self::check); one identity that is too long does not keep the others from being asked for.
    pub async fn check_many(&self, checks: &[(&K, u64)]) -> Vec<Result<Decision>> {
        let keys: Vec<_> = checks.iter().map(|(id, _)| self.key(id)).collect();
        let updates: Vec<_> = keys
            .iter()
            .zip(checks)
            .filter_map(|(key, (_, cost))| {
                let update = self.plans.plan.update(Action::Spend(*cost));
                Some((key.clone().ok()?, update.into_owned()))
            })
            .collect();
        let mut replies = self.shared.update_many(&updates).await.into_iter();
        let decide = |(key, (_, cost)): (Result<Key>, &(&K, u64))| {
            let key = key?;
            let reply = replies.next().unwrap_or_else(|| Err(lost()));
            let answer = self.plans.answer(Action::Spend(*cost), reply);
            self.shared.decided(&self.plans, &key, *cost, answer)
        };
        keys.into_iter().zip(checks).map(decide).collect()
    }

    /// How the identity stands, and whether one would be admitted. Spends and writes nothing, and counts as no request. One round
    /// trip.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn peek(&self, id: &K) -> Result<Decision> {
        self.peek_n(id, 1).await
    }

    /// How the identity stands, whether `cost` would be admitted, and if not, when: as [`check_n`](Self::check_n) would say, with
    /// nothing spent. Somebody else may spend until then, so this is for showing, and `check_n` for deciding.
    ///
    /// For an identity that was limited by another quota the last time it is an estimate: what was spent flows back as that one says
    /// until something is written under this one.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn peek_n(&self, id: &K, cost: u64) -> Result<Decision> {
        self.run(&self.key(id)?, Action::Peek(cost)).await
    }

    /// Gives back what was spent, for work that was not done after all, and says how the identity stands then. Never more
    /// than there is room for. Give back only what the store decided, or what was leased from it ([`Decision::decided_by`]): of the
    /// rest it knows nothing.
    ///
    /// Windows take it from the one of now, and the sliding counter then from the one before. A fixed window has forgotten
    /// what was spent before it turned: refund within the period, later it is a gift.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] whatever the limiter's policy is, [`ErrorKind::IdentityTooLong`], [`ErrorKind::Foreign`].
    pub async fn refund(&self, id: &K, cost: u64) -> Result<Decision> {
        let key = self.key(id)?;
        // Also if this future is dropped: the store may give it back all the same.
        let _forgets = OnDrop(|| self.shared.identities.refunded(&key));
        self.run(&key, Action::Refund(cost)).await
    }

    /// Forgets what the identity spent. One round trip.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] whatever the limiter's policy is, [`ErrorKind::IdentityTooLong`], [`ErrorKind::Foreign`].
    pub async fn reset(&self, id: &K) -> Result<()> {
        let key = self.key(id)?;
        self.shared.local.forget(&key);
        let _forgets = OnDrop(|| self.shared.identities.reset(&key));
        let update = Update::new(&reset::SCRIPT);
        let reset = match self.shared.store.update(&key, &update).await {
            Ok(reply) => reset::done(&reply),
            Err(error) => Err(error.into()),
        };
        reset.inspect_err(|error| self.shared.count_failure(error))
    }

    /// Waits until one is admitted, for `max_wait` at the most. See [`until_ready_n`](Self::until_ready_n).
    ///
    /// # Errors
    /// As [`until_ready_n`](Self::until_ready_n).
    pub async fn until_ready(&self, id: &K, max_wait: Duration) -> Result<Decision> {
        self.until_ready_n(id, 1, max_wait).await
    }

    /// Waits until `cost` is admitted, for `max_wait` at the most. It sleeps as long as the last refusal said, and asks again;
    /// every refusal counts as [`denied`](Stats::denied). It is not a queue: who comes later may be admitted earlier, and of many
    /// who wait the unlucky ones wait until they give up. `max_wait` bounds the sleep, and the store's own deadline each question.
    ///
    /// # Errors
    /// [`ErrorKind::DeadlineExceeded`] as soon as it is known that `max_wait` would pass, [`ErrorKind::NeverAdmitted`],
    /// and those of [`check`](Self::check).
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without time.
    ///
    /// # Cancellation
    /// While it sleeps nothing is spent; otherwise as [`check`](Self::check).
    pub async fn until_ready_n(&self, id: &K, cost: u64, max_wait: Duration) -> Result<Decision> {
        let started = Instant::now();
        loop {
            let decision = self.check_n(id, cost).await?;
            if decision.allowed {
                return Ok(decision);
            }
            let left = max_wait.saturating_sub(started.elapsed());
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
        self.plans.plan.quotas()
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.plans.plan.algorithm()
    }

    fn request<'a>(&'a self, key: &'a Key, cost: u64) -> Request<'a> {
        Request {
            key,
            hash: self.shared.identities.hash(key),
            cost,
            plans: &self.plans,
        }
    }

    fn key(&self, id: &K) -> Result<Key> {
        Ok(self.shared.namespace.key(id)?)
    }

    async fn run(&self, key: &Key, action: Action) -> Result<Decision> {
        let answer = match self.shared.ask_ready(key, &self.plans, action) {
            Some(answer) => answer,
            None => self.shared.ask(key, &self.plans, action).await,
        };
        self.shared.settle(&self.plans, key, action, answer)
    }
}

fn too_late() -> Error {
    Error::new(
        ErrorKind::DeadlineExceeded,
        "the longest wait would pass before the request is admitted",
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
            plans: Arc::clone(&self.plans),
            identity: PhantomData,
        }
    }
}

impl<K: ?Sized> fmt::Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("namespace", &self.shared.namespace)
            .field("algorithm", &self.plans.plan.algorithm())
            .field("quotas", &self.plans.plan.quotas())
            .field("policy", &self.shared.policy)
            .finish_non_exhaustive()
    }
}
