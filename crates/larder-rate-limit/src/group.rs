//! Requests of one identity that ask for the same.

use tokio::sync::oneshot;

use crate::{request::Request, together::Answer};

/// The most requests that are decided at once.
const MOST: usize = 256;
/// The most that wait; those beyond go by themselves.
const MOST_WAITING: usize = 16_384;

pub(crate) type Waiter = oneshot::Sender<Answer>;

/// Those under way by themselves, and those who wait to go together.
pub(crate) struct Group {
    cost: u64,
    plans: u64,
    alone: usize,
    waiters: Vec<Waiter>,
    /// Whether somebody takes the waiters along.
    driven: bool,
}

impl Group {
    /// With this request under way.
    pub(crate) fn of(request: Request<'_>) -> Self {
        Self {
            cost: request.cost,
            plans: request.plans.id,
            alone: 1,
            waiters: Vec::new(),
            driven: false,
        }
    }

    pub(crate) fn is_for(&self, request: Request<'_>) -> bool {
        self.cost == request.cost && self.plans == request.plans.id
    }

    /// Waits with the others, unless there are too many. The first one must see to it that somebody takes them along.
    pub(crate) fn join(&mut self) -> Option<(oneshot::Receiver<Answer>, bool)> {
        if self.waiters.len() >= MOST_WAITING {
            return None;
        }
        let (waiter, answer) = oneshot::channel();
        self.waiters.push(waiter);
        let first = !self.driven;
        self.driven = true;
        Some((answer, first))
    }

    /// A request that went by itself is answered, or was given up.
    pub(crate) const fn leave(&mut self) {
        self.alone = self.alone.saturating_sub(1);
    }

    /// Those who are decided next. If there are none they aren't taken along any more.
    pub(crate) fn next(&mut self) -> Vec<Waiter> {
        self.driven = !self.waiters.is_empty();
        let most = self.waiters.len().min(MOST);
        self.waiters.drain(..most).collect()
    }

    /// All who wait.
    pub(crate) fn strand(&mut self) -> Vec<Waiter> {
        self.driven = false;
        std::mem::take(&mut self.waiters)
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.alone == 0 && !self.driven
    }
}
