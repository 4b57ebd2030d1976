//! Requests of one identity that ask for the same.

use tokio::{
    runtime::{Handle, Id},
    sync::oneshot,
};

use crate::{Decision, Result, request::Request};

/// The most requests that are decided at once.
const MOST_AT_ONCE: usize = 256;
/// The most that wait; those beyond go by themselves.
const MOST_WAITING: usize = 16_384;

pub(crate) type Waiter = oneshot::Sender<Result<Decision>>;

/// Those under way by themselves, and those who wait to go together.
pub(crate) struct Group {
    cost: u64,
    plans: u64,
    alone: usize,
    waiters: Vec<Waiter>,
    /// The runtime on which a task takes the waiters along.
    driven_on: Option<Id>,
}

/// How a request comes into a group.
pub(crate) enum Joined {
    /// It goes by itself, and leaves afterwards.
    Alone,
    /// It goes by itself, and is not counted: there are too many, or they are on another runtime.
    Apart,
    /// It goes with those who are next.
    Next(oneshot::Receiver<Result<Decision>>),
    /// The same, and somebody must take them along.
    First(oneshot::Receiver<Result<Decision>>),
}

impl Group {
    pub(crate) fn of(request: Request<'_>) -> Self {
        Self {
            cost: request.cost,
            plans: request.plans.id,
            alone: 0,
            waiters: Vec::new(),
            driven_on: None,
        }
    }

    pub(crate) fn is_for(&self, request: Request<'_>) -> bool {
        request.asks(self.cost, self.plans)
    }

    /// So many go by themselves at once, and the others together. Only callers on one runtime wait for each other: one that isn't
    /// driven keeps nobody else waiting.
    pub(crate) fn join(&mut self, most_alone: usize) -> Joined {
        if self.driven_on.is_none() && self.alone < most_alone {
            self.alone += 1;
            return Joined::Alone;
        }
        let Ok(runtime) = Handle::try_current().map(|runtime| runtime.id()) else {
            return Joined::Apart;
        };
        let there = self.driven_on.is_none_or(|there| there == runtime);
        if !there || self.waiters.len() == MOST_WAITING {
            return Joined::Apart;
        }
        let (waiter, answer) = oneshot::channel();
        self.waiters.push(waiter);
        match self.driven_on.replace(runtime) {
            None => Joined::First(answer),
            Some(_) => Joined::Next(answer),
        }
    }

    /// A request that went by itself is answered, or was given up.
    pub(crate) const fn leave(&mut self) {
        self.alone = self.alone.saturating_sub(1);
    }

    /// Those who are decided next, without those who went away. If there are none they aren't taken along any more.
    pub(crate) fn next(&mut self) -> Vec<Waiter> {
        self.waiters.retain(|waiter| !waiter.is_closed());
        if self.waiters.is_empty() {
            self.driven_on = None;
        }
        let most = self.waiters.len().min(MOST_AT_ONCE);
        self.waiters.drain(..most).collect()
    }

    /// All who wait.
    pub(crate) fn strand(&mut self) -> Vec<Waiter> {
        self.driven_on = None;
        std::mem::take(&mut self.waiters)
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.alone == 0 && self.driven_on.is_none()
    }
}
