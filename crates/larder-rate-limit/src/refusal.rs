//! Refusals, remembered until they can change.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Decision, RetryAfter, decision::DecidedBy, request::Request};

/// No longer than this: a refund or a reset of another process is not heard of.
const LONGEST: Duration = Duration::from_secs(1);

/// What the store refused, so that asking again before it can be admitted costs nothing.
pub(crate) struct Refusal {
    cost: u64,
    plans: u64,
    decision: Decision,
    heard: Instant,
    pub(crate) until: Instant,
}

impl Refusal {
    /// To be remembered of the answer to a request that was sent at this time: nothing unless the store refused it for a while.
    pub(crate) fn of(request: Request<'_>, asked: Instant, decision: &Decision) -> Option<Self> {
        let RetryAfter::After(wait) = decision.retry_after else {
            return None;
        };
        if decision.allowed || decision.decided_by != DecidedBy::Store || wait.is_zero() {
            return None;
        }
        Some(Self {
            cost: request.cost,
            plans: request.plans.id,
            decision: decision.clone(),
            heard: Instant::now(),
            // The store decided later than that, so by its clock the time has come when this is over.
            until: asked + wait.min(LONGEST),
        })
    }

    /// The same refusal at a later time, if it still holds and the request is the same.
    pub(crate) fn recall(&self, request: Request<'_>, now: Instant) -> Option<Decision> {
        let same = self.cost == request.cost && self.plans == request.plans.id;
        let elapsed = now.saturating_duration_since(self.heard);
        (same && now < self.until).then(|| self.decision.clone().later(elapsed))
    }
}
