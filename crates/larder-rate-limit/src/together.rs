//! Concurrent checks of one identity, sent as one.
//!
//! The first goes by itself. Whoever asks for the same while it is under way waits, and a task takes those who wait along: so
//! many times the cost at once and, where that is too much, as many as fit.

use std::{sync::Arc, time::Duration};

use larder_store::{ErrorKind, Key};
use tokio::{runtime::Handle, sync::oneshot, task::yield_now, time::timeout};

use crate::{
    Decision, Error,
    group::Waiter,
    identities::{Entered, Mark},
    request::Request,
    shared::{Plans, Shared, lost},
};

/// Longer than any store takes to answer: only a runtime that is not driven any more keeps anybody waiting so long.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) type Answer = Result<Decision, Unanswered>;

/// Why there is no decision.
#[derive(Debug, Clone)]
pub(crate) enum Unanswered {
    /// The store failed: the policy decides, for each request by itself.
    Store(larder_store::Error),
    /// Otherwise.
    Other(Error),
}

/// Decides a request by what is known here, by itself, or together with others.
pub(crate) async fn decide(shared: &Arc<Shared>, request: Request<'_>) -> Answer {
    let runtime = Handle::try_current();
    match shared.identities.enter(request, runtime.is_ok()) {
        Entered::Leased(decision) => Ok(decision),
        Entered::Refused(decision) => {
            shared.counters.denied_by_memory.increment();
            Ok(decision)
        }
        Entered::Alone(mark) => {
            let _alone = Alone { shared, request };
            shared.take(request, mark, 1).await.1
        }
        Entered::Apart(mark) => shared.take(request, mark, 1).await.1,
        Entered::Next(answer) => told(shared, request, answer).await,
        Entered::FirstOfNext(answer) => {
            let driver = Driver {
                shared: Arc::clone(shared),
                key: request.key.clone(),
                hash: request.hash,
                cost: request.cost,
                plans: Arc::clone(request.plans),
                done: false,
            };
            if let Ok(runtime) = runtime {
                runtime.spawn(driver.go_on());
            }
            told(shared, request, answer).await
        }
    }
}

async fn told(shared: &Shared, request: Request<'_>, answer: oneshot::Receiver<Answer>) -> Answer {
    shared.counters.decided_together.increment();
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Unanswered::Store(lost())),
        Err(_) => {
            // So that the next ones find somebody else.
            drop(shared.identities.strand(request));
            Err(Unanswered::Store(larder_store::Error::new(
                ErrorKind::Timeout,
                "the runtime that asks the store for this identity is not driven",
            )))
        }
    }
}

/// A request that is under way by itself, until it is answered or dropped.
struct Alone<'a> {
    shared: &'a Shared,
    request: Request<'a>,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.shared.identities.leave(self.request);
    }
}

/// Takes along those who wait. It is a task of its own, so that nobody depends on another caller's future being polled.
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
            let (waiters, mark) = self.shared.identities.next(self.request());
            if waiters.is_empty() {
                self.done = true;
                return;
            }
            self.decide(waiters, mark).await;
            // Of those who were answered some ask again at once, and then it is better to go with all of them.
            yield_now().await;
        }
    }

    /// Takes for all at once; where that is too much for as many as there is room for, until one alone is refused.
    async fn decide(&self, waiters: Vec<Waiter>, mark: Mark) {
        let mut waiters = waiters.into_iter();
        while waiters.len() > 0 {
            // What the request before has left in a block.
            if let Some(decision) = self.shared.spend_of_block(self.request()) {
                waiters
                    .by_ref()
                    .take(1)
                    .for_each(|waiter| tell(waiter, Ok(decision.clone())));
                continue;
            }
            let (admitted, answer) = self
                .shared
                .take(self.request(), mark, waiters.len() as u64)
                .await;
            if admitted == 0 {
                waiters
                    .by_ref()
                    .for_each(|waiter| tell(waiter, answer.clone()));
            }
            let admitted = waiters
                .by_ref()
                .take(admitted as usize)
                .zip((0..admitted).rev());
            for (waiter, after) in admitted {
                let spent = self.cost.saturating_mul(after);
                tell(
                    waiter,
                    answer.clone().map(|decision| decision.before(spent)),
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

fn tell(waiter: Waiter, answer: Answer) {
    // Whoever has gone away has spent.
    let _ = waiter.send(answer);
}
