//! Leased quota: tokens that were taken from the store in a block, to be spent in this process.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Decision, decision::DecidedBy, request::Request};

/// No block is larger than this part of what is admitted at once, so that one process doesn't take it all.
const PART: u64 = 10;

/// Tokens of one identity. A block that was used up is followed by one of twice the size, and one that ran out by one of what was
/// used of it.
pub(crate) struct Block {
    plans: u64,
    size: u64,
    left: u64,
    pub(crate) until: Instant,
    /// How the identity stood when it was taken.
    standing: Decision,
}

impl Block {
    /// What is left of tokens that were taken by a request that was sent at this time.
    pub(crate) fn new(
        request: Request<'_>,
        (size, left): (u64, u64),
        until: Instant,
        standing: &Decision,
    ) -> Self {
        Self {
            plans: request.plans.id,
            size,
            left,
            until,
            standing: standing.clone(),
        }
    }

    /// Spends of it, if there is enough.
    pub(crate) fn spend(&mut self, request: Request<'_>, now: Instant) -> Option<Decision> {
        if self.left < request.cost || self.plans != request.plans.id || now >= self.until {
            return None;
        }
        self.left -= request.cost;
        let mut decision = self.standing.clone().before(self.left);
        decision.decided_by = DecidedBy::Lease;
        Some(decision)
    }

    /// How much to take next, by what became of this one.
    pub(crate) fn next_size(&self, request: Request<'_>, now: Instant, lifetime: Duration) -> u64 {
        let size = match self.until {
            until if now < until => self.size.saturating_mul(2),
            until if now < until + lifetime => self.size - self.left,
            _ => 0,
        };
        let most = request.plans.plan.capacity() / PART;
        size.min(most).max(request.cost)
    }
}
