//! What handles on one limiter have in common, and what becomes of a reply.

use std::{sync::Arc, time::Duration};

use larder_store::{Key, Namespace, Reply, Store, Update};

use crate::{
    Decision, Error, ErrorKind, Result,
    blocks::Blocks,
    decision::DecidedBy,
    denials::Denials,
    local::Local,
    plan::{Action, Plan},
    stats::Counters,
    together::{Answer, Ask, Together, Unanswered},
};

/// Everything but the quotas.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) namespace: Namespace,
    pub(crate) policy: Policy,
    pub(crate) local: Local,
    pub(crate) together: Together,
    pub(crate) denials: Denials,
    /// Of leased quota.
    pub(crate) blocks: Option<Blocks>,
    /// Whether asking the store costs a round trip.
    pub(crate) remote: bool,
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
    pub(crate) plan: Plan,
    local: Option<Plan>,
}

impl Plans {
    /// What the store's reply says.
    pub(crate) fn answer(&self, action: Action, reply: larder_store::Result<Reply>) -> Answer {
        match reply {
            Ok(reply) => self.plan.decision(action, reply).map_err(Unanswered::Other),
            Err(error) => Err(Unanswered::Store(error)),
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
        let nobody = namespace.key("");
        // A store in this process answers at once.
        let remote = nobody.is_ok_and(|key| store.get_ready(&key).is_none());
        Self {
            remote,
            blocks: leased.filter(|_| remote).map(Blocks::new),
            store,
            namespace,
            policy,
            local: Local::new(),
            together: Together::new(),
            denials: Denials::new(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn plans(&self, plan: Plan) -> Result<Plans> {
        let local = match self.policy {
            Policy::Local(part) => Some(plan.scaled(part)?),
            Policy::Open | Policy::Closed => None,
        };
        Ok(Plans { plan, local })
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

    /// Asks the store.
    pub(crate) async fn ask(&self, key: &Key, plans: &Plans, action: Action) -> Answer {
        let update = plans.plan.update(action);
        let reply = match self.store.update_ready(key, &update) {
            Some(reply) => reply,
            None => self.store.update(key, &update).await,
        };
        plans.answer(action, reply)
    }

    /// Spends of what was taken before, with leased quota.
    pub(crate) fn spend_of_block(&self, ask: &Ask) -> Option<Decision> {
        self.blocks.as_ref()?.spend(ask)
    }

    /// Takes so many times the cost from the store or, where that is too much, as many as fit, and says how many; with leased
    /// quota, a block if it is larger.
    pub(crate) async fn take(&self, ask: &Ask, most: u64) -> (u64, Answer) {
        let cost = ask.cost;
        let block = self.blocks.as_ref().map_or(0, |blocks| blocks.wanted(ask));
        let (mut asked, mut tokens) = (most, cost.saturating_mul(most).max(block));
        loop {
            let mark = self.denials.mark(&ask.key);
            let answer = self.ask(&ask.key, &ask.plans, Action::Spend(tokens)).await;
            match answer {
                Ok(decision) if decision.allowed => {
                    let surplus = tokens - cost.saturating_mul(asked);
                    if let Some(blocks) = &self.blocks {
                        blocks.keep(ask, mark.asked(), tokens, surplus, &decision);
                    }
                    return (asked, Ok(decision.before(surplus)));
                }
                Ok(decision) if tokens > cost => {
                    // A block may have been too much, and what it was for not.
                    let fewer = asked - u64::from(tokens == cost.saturating_mul(asked));
                    asked = (decision.room() / cost).clamp(1, fewer);
                    tokens = cost.saturating_mul(asked);
                }
                answer => {
                    if let Ok(refusal) = &answer {
                        self.denials.remember(ask, mark, refusal);
                    }
                    return (0, answer);
                }
            }
        }
    }

    /// The answer or, if the store failed, what the policy says.
    pub(crate) fn settle(
        &self,
        plans: &Plans,
        key: &Key,
        action: Action,
        answer: Answer,
    ) -> Result<Decision> {
        let error = match answer {
            Ok(decision) => return Ok(decision),
            Err(Unanswered::Store(error)) => error.into(),
            Err(Unanswered::Other(error)) => error,
        };
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
        if plans.plan.is_over(action) {
            return Ok(Decision::never(plans.plan.quotas(), action.cost(), error));
        }
        match (self.policy, &plans.local) {
            (Policy::Local(_), Some(plan)) => {
                let reply = self.local.update(key, &plan.update(action));
                let decision = plan.decision(action, reply)?;
                Ok(decision.locally(error))
            }
            (Policy::Open, _) => Ok(Decision::open(plans.plan.quotas(), error)),
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

    /// Counts what became of a request.
    pub(crate) fn counted(&self, decision: Result<Decision>) -> Result<Decision> {
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
