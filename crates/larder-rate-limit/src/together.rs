//! Concurrent checks of one identity, sent as one.
//!
//! A few go by themselves. Whoever asks for the same meanwhile waits, and a task takes those who wait along: so many times the
//! cost at once and, where that is too much, as many as fit. No caller depends on another one's future being polled.

use std::sync::Arc;

use larder_store::Key;
use tokio::task::yield_now;

use crate::{
    Decision, Result,
    group::{Joined, Waiter},
    identities::{Entered, Mark},
    on_drop::OnDrop,
    request::Request,
    shared::{Plans, Shared, lost},
};

/// Decides a request by what is known here, by itself, or together with others.
pub(crate) async fn decide(shared: &Arc<Shared>, request: Request<'_>) -> Result<Decision> {
    let (joined, mark) = match shared.identities.enter(request, shared.most_alone()) {
        Entered::Known(decision) => return Ok(decision),
        Entered::Joined(joined, mark) => (joined, mark),
    };
    let answer = match joined {
        Joined::Alone => {
            let _under_way = OnDrop(|| shared.identities.leave(request));
            return shared.take(request, mark, 1).await.1;
        }
        Joined::Apart => return shared.take(request, mark, 1).await.1,
        Joined::First(answer) => {
            tokio::spawn(Driver::new(shared, request).go_on());
            answer
        }
        Joined::Next(answer) => answer,
    };
    shared.counters.decided_together.increment();
    let lost = |_| Err(lost().into());
    // The driver is on the same runtime, and asks a store that answers in time.
    answer.await.unwrap_or_else(lost)
}

/// Takes along those who wait.
struct Driver {
    shared: Arc<Shared>,
    key: Key,
    hash: u64,
    cost: u64,
    plans: Arc<Plans>,
    /// Whether nobody waited any more.
    done: bool,
}

impl Driver {
    fn new(shared: &Arc<Shared>, request: Request<'_>) -> Self {
        Self {
            shared: Arc::clone(shared),
            key: request.key.clone(),
            hash: request.hash,
            cost: request.cost,
            plans: Arc::clone(request.plans),
            done: false,
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            key: &self.key,
            hash: self.hash,
            cost: self.cost,
            plans: &self.plans,
        }
    }

    /// Until nobody waits.
    async fn go_on(mut self) {
        loop {
            // Whoever is about to ask, such as those who were just answered, had better come along.
            yield_now().await;
            let (waiters, mark) = self.shared.identities.next(self.request());
            if waiters.is_empty() {
                self.done = true;
                return;
            }
            self.decide(waiters, mark).await;
        }
    }

    /// Takes for all at once; where that is too much for as many as there is room for, and then for one, until it is refused.
    async fn decide(&self, waiters: Vec<Waiter>, mark: Mark) {
        let mut most = waiters.len();
        let mut waiters = waiters.into_iter();
        while waiters.len() > 0 {
            // What the request before has left in a block, or was told.
            if let Some(decision) = self.shared.identities.known(self.request()) {
                let waiter = waiters.by_ref().take(1);
                waiter.for_each(|waiter| tell(waiter, Ok(decision.clone())));
                continue;
            }
            most = most.min(waiters.len());
            let (admitted, answer) = self.shared.take(self.request(), mark, most as u64).await;
            if admitted == 0 {
                waiters
                    .by_ref()
                    .for_each(|waiter| tell(waiter, answer.clone()));
            }
            if (admitted as usize) < most {
                most = 1;
            }
            let admitted = waiters
                .by_ref()
                .take(admitted as usize)
                .zip((0..admitted).rev());
            for (waiter, after) in admitted {
                let spent = self.cost.saturating_mul(after);
                let answer = answer.clone();
                tell(
                    waiter,
                    answer.map(|decision| self.plans.plan.before(decision, spent)),
                );
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.done {
            // The runtime ends, and whoever waits hears that it was lost.
            drop(self.shared.identities.strand(self.request()));
        }
    }
}

fn tell(waiter: Waiter, answer: Result<Decision>) {
    // Whoever has gone away has spent.
    let _ = waiter.send(answer);
}
