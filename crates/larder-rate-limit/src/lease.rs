//! The taking of an identity's next block.

use std::time::Duration;

use crate::{
    Decision, RetryAfter,
    block::{Block, Renewal},
    identities::Mark,
    refusal::LONGEST,
    request::Request,
    shared::Shared,
};

/// One request to the store for leased quota. Of an identity only one at a time asks for a block, until this is dropped.
///
/// Where there is not a whole block the rest of what there is is taken, and then the process waits until there is one again, or
/// for half of its lifetime, or for a second: a quota that is used up would otherwise be taken token by token.
pub(crate) struct Lease<'a> {
    shared: &'a Shared,
    request: Request<'a>,
    mark: Mark,
    lifetime: Duration,
    renewal: Option<Renewal>,
    /// What the store said if the block was too much.
    pub(crate) refused: Option<Decision>,
}

impl<'a> Lease<'a> {
    pub(crate) fn of(
        shared: &'a Shared,
        request: Request<'a>,
        mark: Mark,
        lifetime: Duration,
    ) -> Self {
        Self {
            shared,
            request,
            mark,
            lifetime,
            renewal: shared.identities.renew(request, lifetime),
            refused: None,
        }
    }

    /// The size of the block, or 0 if only the cost is taken.
    pub(crate) fn wanted(&self) -> u64 {
        self.renewal.map_or(0, |renewal| renewal.tokens)
    }

    /// Keeps what is left of what was taken, and the size for the next block.
    pub(crate) fn keep(&self, taken: u64, left: u64, standing: &Decision) {
        let size = match &self.refused {
            // So that the next one is of this size again.
            Some(_) => taken.max(self.wanted() / 2),
            None => taken,
        };
        // The store took them later than that.
        let until = self.mark.asked + self.lifetime;
        let (request, mark) = (self.request, self.mark);
        let block = Block::new(request, (size, left), until, standing);
        let identities = &self.shared.identities;
        identities.keep(request, mark, self.renewal, block);
        if let Some(refused) = &self.refused {
            let next = self.until_a_block(refused.clone(), standing);
            self.shared.remember(request, mark, &next);
        }
    }

    /// A refusal of the cost, until there is a block again.
    pub(crate) fn held(&self, refusal: Decision) -> Decision {
        let standing = refusal.clone();
        self.until_a_block(refusal, &standing)
    }

    /// The refusal, as the identity stands now, until there is a block again.
    fn until_a_block(&self, refusal: Decision, standing: &Decision) -> Decision {
        let plan = &self.request.plans.plan;
        let longest = LONGEST.min(self.lifetime / 2);
        let standing: Vec<_> = standing.limits().collect();
        refusal.adjusted(|at, limit| {
            let Some(now) = standing.get(at) else {
                return;
            };
            // Times of flowing back are rounded down.
            let until_there_are = |tokens: u64| {
                let missing = tokens.saturating_sub(now.remaining);
                plan.time_of(at, missing) + Duration::from_micros(1)
            };
            limit.remaining = now.remaining;
            limit.reset_after = now.reset_after;
            if limit.violated {
                let block = until_there_are(self.wanted()).min(longest);
                // Of a refusal of the cost the store has told the time to the microsecond.
                let cost = now.retry_after.duration().unwrap_or_default();
                let cost = cost.max(until_there_are(self.request.cost));
                limit.retry_after = RetryAfter::After(block.max(cost));
            }
        })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(renewal) = self.renewal {
            self.shared.identities.renewed(self.request, renewal);
        }
    }
}
