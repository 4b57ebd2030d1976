//! The taking of an identity's next block.

use std::time::Duration;

use crate::{
    Decision,
    block::{Block, Taking},
    identities::Mark,
    request::Request,
    shared::Shared,
};

/// One request to the store for leased quota. Of an identity only one at a time asks for a block, until this is dropped.
///
/// Where there is not a whole block the rest of what there is is taken, and then the process waits until there is one again, or
/// for half of its lifetime: a quota that is used up would otherwise be taken token by token.
pub(crate) struct Lease<'a> {
    shared: &'a Shared,
    request: Request<'a>,
    mark: Mark,
    lifetime: Duration,
    /// The size of the block, or 0 if only the cost is taken.
    pub(crate) wanted: u64,
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
        let wanted = match shared.identities.renew(request, lifetime) {
            Taking::Cost => 0,
            Taking::Block(tokens) => tokens,
        };
        Self {
            shared,
            request,
            mark,
            lifetime,
            wanted,
            refused: None,
        }
    }

    /// Keeps what is left of what was taken, and the size for the next block.
    pub(crate) fn keep(&self, taken: u64, left: u64, standing: &Decision) {
        let size = match &self.refused {
            // So that the next one is of this size again.
            Some(_) => taken.max(self.wanted / 2),
            None => taken,
        };
        // The store took them later than that.
        let until = self.mark.asked + self.lifetime;
        let block = Block::new(self.request, (size, left), until, standing);
        let (request, mark) = (self.request, self.mark);
        self.shared
            .identities
            .keep(request, mark, self.wanted > 0, block);
        if let Some(refused) = &self.refused {
            let rest = request.plans.plan.without(refused.clone(), taken);
            let next = request
                .plans
                .plan
                .until_there_is(rest, request.cost, self.longest());
            self.shared.remember(request, mark, &next);
        }
    }

    /// A refusal, until there is a block again.
    pub(crate) fn held(&self, refusal: Decision) -> Decision {
        let wait = self
            .refused
            .as_ref()
            .and_then(|refused| refused.retry_after.duration());
        let wait = wait.unwrap_or_default().min(self.longest());
        refusal.adjusted(|_, limit| {
            if limit.violated {
                limit.retry_after = limit.retry_after.at_least(wait);
            }
        })
    }

    fn longest(&self) -> Duration {
        self.lifetime / 2
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.wanted > 0 {
            self.shared.identities.renewed(self.request);
        }
    }
}
