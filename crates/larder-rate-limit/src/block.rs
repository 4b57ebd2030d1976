//! Leased quota: tokens that were taken from the store in a block, to be spent in this process.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

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
    until: Instant,
    /// How the identity stood when it was taken.
    standing: Decision,
    /// The taking of the next one, while somebody is at it.
    renewing: Option<Renewal>,
}

/// The taking of the next block, which nobody else takes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Renewal {
    /// No other in this process has it.
    number: u64,
    pub(crate) tokens: u64,
}

impl Renewal {
    fn new(tokens: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Relaxed),
            tokens,
        }
    }
}

impl Block {
    /// What is left of tokens that were taken.
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
            renewing: None,
        }
    }

    /// Spends of it, if there is enough.
    pub(crate) fn spend(&mut self, request: Request<'_>, now: Instant) -> Option<Decision> {
        if self.left < request.cost || self.plans != request.plans.id || now >= self.until {
            return None;
        }
        self.left -= request.cost;
        let standing = self.standing.clone();
        let mut decision = request.plans.plan.before(standing, self.left);
        decision.decided_by = DecidedBy::Lease;
        Some(decision)
    }

    /// The next block to take, a whole number of costs. `None` while more than an eighth of this one is left, while another request
    /// takes the next one, and if this one is of other plans: it stays as it is.
    pub(crate) fn renew(
        &mut self,
        request: Request<'_>,
        now: Instant,
        lifetime: Duration,
    ) -> Option<Renewal> {
        let lives = now < self.until;
        let has_some = lives && self.left > self.size / 8;
        if self.renewing.is_some() || self.plans != request.plans.id || has_some {
            return None;
        }
        let size = match self.until {
            _ if lives => self.size.saturating_mul(2),
            until if now < until + lifetime => self.size - self.left,
            _ => 0,
        };
        let most = request.plans.plan.capacity() / PART;
        let size = size.min(most) / request.cost * request.cost;
        self.renewing = Some(Renewal::new(size.max(request.cost)));
        self.renewing
    }

    /// Whether this request takes the next one.
    pub(crate) fn is_renewed_by(&self, renewal: Option<Renewal>) -> bool {
        renewal.is_some() && self.renewing == renewal
    }

    /// The next one is not being taken any more.
    pub(crate) const fn stays(&mut self) {
        self.renewing = None;
    }

    /// Whether nothing of it matters any more.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until && self.renewing.is_none()
    }
}
