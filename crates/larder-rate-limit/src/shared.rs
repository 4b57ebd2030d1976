//! What handles on one limiter have in common, and what becomes of a reply.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use larder_store::{Key, Namespace, Reply, Store, Update};

use crate::{
    Decision, Error, ErrorKind, Result,
    decision::DecidedBy,
    identities::{Identities, Mark},
    lease::Lease,
    local::Local,
    plan::{Action, Plan},
    refusal::Refusal,
    request::Request,
    stats::Counters,
};

/// Everything but the quotas.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) namespace: Namespace,
    pub(crate) policy: Policy,
    pub(crate) local: Local,
    pub(crate) identities: Identities,
    /// The lifetime of blocks of leased quota.
    leased: Option<Duration>,
    pub(crate) counters: Counters,
}

/// What is done while the store is down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Policy {
    Open,
    Closed,
    /// A limiter in this process, with this part of each quota.
    Local(f64),
}

/// The quotas, and this process' part of them for when the store is down.
pub(crate) struct Plans {
    /// No others in this process have it.
    pub(crate) id: u64,
    pub(crate) plan: Plan,
    local: Option<Plan>,
}

static NEXT_PLANS: AtomicU64 = AtomicU64::new(0);

impl Plans {
    /// What the store's reply says.
    #[inline]
    pub(crate) fn answer(
        &self,
        action: Action,
        reply: larder_store::Result<Reply>,
    ) -> Result<Decision> {
        match reply {
            Ok(reply) => self.plan.decision(action, &reply),
            Err(error) => Err(error.into()),
        }
    }
}

impl Shared {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        namespace: Namespace,
        policy: Policy,
        leased: Option<Duration>,
    ) -> Self {
        Self {
            store,
            namespace,
            policy,
            local: Local::new(),
            identities: Identities::new(),
            leased,
            counters: Counters::default(),
        }
    }

    pub(crate) fn plans(&self, plan: Plan) -> Result<Plans> {
        let local = match self.policy {
            Policy::Local(part) => Some(plan.scaled(part)?),
            Policy::Open | Policy::Closed => None,
        };
        Ok(Plans {
            id: NEXT_PLANS.fetch_add(1, Relaxed),
            plan,
            local,
        })
    }

    /// As many replies as updates.
    pub(crate) async fn update_many(
        &self,
        updates: &[(Key, Update)],
    ) -> Vec<larder_store::Result<Reply>> {
        if updates.is_empty() {
            return Vec::new();
        }
        match self.store.update_many(updates).await {
            Ok(replies) => replies,
            Err(error) => vec![Err(error); updates.len()],
        }
    }

    /// Asks a store in this process, which answers at once; `None` if it is a remote one.
    #[inline]
    pub(crate) fn ask_ready(
        &self,
        key: &Key,
        plans: &Plans,
        action: Action,
    ) -> Option<Result<Decision>> {
        let reply = self.store.update_ready(key, &plans.plan.update(action))?;
        Some(plans.answer(action, reply))
    }

    /// Asks the store.
    pub(crate) async fn ask(&self, key: &Key, plans: &Plans, action: Action) -> Result<Decision> {
        let update = plans.plan.update(action);
        plans.answer(action, self.store.update(key, &update).await)
    }

    /// How many requests of an identity that are alike go by themselves at once. Waiting for company costs about as much as it saves
    /// for so few; but the tokens for a block are not to be taken one by one.
    pub(crate) const fn most_alone(&self) -> usize {
        if self.leased.is_some() { 0 } else { 2 }
    }

    /// Takes so many times the cost from the store or, where that is too much, as many as fit, and says how many; with leased
    /// quota, a block if it is larger.
    pub(crate) async fn take(
        &self,
        request: Request<'_>,
        mark: Mark,
        most: u64,
    ) -> (u64, Result<Decision>) {
        let Request {
            key, cost, plans, ..
        } = request;
        let mut lease = self
            .leased
            .map(|lifetime| Lease::of(self, request, mark, lifetime));
        let block = lease.as_ref().map_or(0, Lease::wanted);
        let (mut asked, mut tokens) = (most, cost.saturating_mul(most).max(block));
        loop {
            let answer = self.ask(key, plans, Action::Spend(tokens)).await;
            match answer {
                Ok(decision) if decision.allowed => {
                    let surplus = tokens - cost.saturating_mul(asked);
                    if let Some(lease) = &lease {
                        lease.keep(tokens, surplus, &decision);
                    }
                    return (asked, Ok(plans.plan.before(decision, surplus)));
                }
                Ok(refusal) if tokens > cost => {
                    let room = refusal.room();
                    asked = (room / cost).clamp(1, asked);
                    tokens = cost.saturating_mul(asked);
                    if let Some(lease) = lease.as_mut().filter(|_| block > 0) {
                        tokens = (room / cost).max(1) * cost;
                        lease.refused.get_or_insert(refusal);
                    }
                }
                Ok(refusal) => {
                    let refusal = match &lease {
                        Some(lease) if block > cost => lease.held(refusal),
                        _ => refusal,
                    };
                    self.remember(request, mark, &refusal);
                    return (0, Ok(refusal));
                }
                Err(why) => return (0, Err(why)),
            }
        }
    }

    pub(crate) fn remember(&self, request: Request<'_>, mark: Mark, refusal: &Decision) {
        if let Some(refusal) = Refusal::of(request, mark.asked, refusal) {
            self.identities.remember(request, mark, refusal);
        }
    }

    /// The answer or, if the store failed, what the policy says.
    #[inline]
    pub(crate) fn settle(
        &self,
        plans: &Plans,
        key: &Key,
        action: Action,
        answer: Result<Decision>,
    ) -> Result<Decision> {
        answer.or_else(|error| self.failed(plans, key, action, error))
    }

    #[cold]
    fn failed(&self, plans: &Plans, key: &Key, action: Action, error: Error) -> Result<Decision> {
        self.count_failure(&error);
        // Nobody but the store knows what a refund belongs to.
        if is_store(&error) && !matches!(action, Action::Refund(_)) {
            return self.without_store(plans, key, action, error);
        }
        Err(error)
    }

    fn without_store(
        &self,
        plans: &Plans,
        key: &Key,
        action: Action,
        error: Error,
    ) -> Result<Decision> {
        let quotas = || Arc::clone(plans.plan.quotas());
        if plans.plan.is_over(action) {
            return Ok(Decision::never(quotas(), action.cost(), error));
        }
        match (self.policy, &plans.local) {
            (Policy::Local(_), Some(plan)) => {
                let reply = self.local.update(key, &plan.update(action));
                let decision = plan.decision(action, &reply)?;
                Ok(decision.locally(error))
            }
            (Policy::Open, _) => Ok(Decision::open(quotas(), error)),
            _ => Err(error),
        }
    }

    pub(crate) fn count_failure(&self, error: &Error) {
        match error.kind() {
            ErrorKind::Store(_) => {
                self.counters.store_errors.increment();
                if !error.is_transient() {
                    self.counters.permanent_errors.increment();
                }
            }
            ErrorKind::Foreign => self.counters.foreign.increment(),
            _ => {}
        }
    }

    /// What becomes of a request that was answered, counted.
    #[inline]
    pub(crate) fn decided(
        &self,
        plans: &Plans,
        key: &Key,
        cost: u64,
        answer: Result<Decision>,
    ) -> Result<Decision> {
        let decision = self.settle(plans, key, Action::Spend(cost), answer);
        match &decision {
            Ok(decision) => self.count(decision),
            Err(error) if is_store(error) => self.counters.failed_closed.increment(),
            Err(_) => {}
        }
        decision
    }

    fn count(&self, decision: &Decision) {
        match decision.decided_by {
            DecidedBy::Store | DecidedBy::Capacity => {}
            DecidedBy::Memory => self.counters.denied_by_memory.increment(),
            DecidedBy::Lease => self.counters.decided_by_lease.increment(),
            DecidedBy::Local => self.counters.decided_locally.increment(),
            DecidedBy::FailOpen => self.counters.failed_open.increment(),
        }
        if decision.allowed {
            self.counters.allowed.increment();
        } else {
            self.counters.denied.increment();
        }
    }
}

fn is_store(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Store(_))
}

/// A store that broke its contract.
pub(crate) fn lost() -> larder_store::Error {
    larder_store::Error::new(
        larder_store::ErrorKind::Protocol,
        "the store left an update without a reply",
    )
}
