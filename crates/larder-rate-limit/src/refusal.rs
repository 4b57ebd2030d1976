//! Refusals, remembered until they can change.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Decision, RetryAfter, decision::DecidedBy, request::Request};

/// No longer than this: a refund or a reset of another process is not heard of.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);

/// What is refused without asking, so that hammering costs nothing: what the store refused, until it can be admitted; with leased
/// quota, until there is a block again.
pub(crate) struct Refusal {
    cost: u64,
    plans: u64,
    decision: Decision,
    heard: Instant,
    pub(crate) until: Instant,
}

impl Refusal {
    /// What is to be remembered of the store's refusal of a request that was sent at this time: nothing if it may be admitted at once,
    /// or never.
    pub(crate) fn of(request: Request<'_>, asked: Instant, refusal: &Decision) -> Option<Self> {
        let RetryAfter::After(wait) = refusal.retry_after else {
            return None;
        };
        if wait.is_zero() {
            return None;
        }
        let mut decision = refusal.clone();
        decision.decided_by = DecidedBy::Memory;
        Some(Self {
            cost: request.cost,
            plans: request.plans.id,
            decision,
            heard: Instant::now(),
            // The store decided later than that, so by its clock the time has come when this is over.
            until: asked + wait.min(LONGEST),
        })
    }

    /// The same refusal at a later time, if it still holds and the request is the same.
    pub(crate) fn recall(&self, request: Request<'_>, now: Instant) -> Option<Decision> {
        if !request.asks(self.cost, self.plans) || now >= self.until {
            return None;
        }
        let elapsed = now.saturating_duration_since(self.heard);
        Some(request.plans.plan.later(self.decision.clone(), elapsed))
    }
}
