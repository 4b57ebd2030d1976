//! Concurrent checks of one identity, sent as one.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use larder_store::Key;
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    Decision, Error,
    shared::{Plans, Shared},
};

const SHARDS: usize = 16;
/// The most requests that are decided at once.
const MOST: usize = 256;

/// Requests of one identity that wait for the one under way. What is asked for alike is decided together: so many times the
/// cost at once and, where that is too much, as many as fit.
pub(crate) struct Together {
    shards: Box<[Mutex<Waiting>]>,
    hasher: RandomState,
}

/// What is asked: requests that differ in nothing else than who makes them.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    pub(crate) cost: u64,
    pub(crate) plans: Arc<Plans>,
}

type Waiting = HashMap<Ask, Vec<Waiter>>;
type Waiter = oneshot::Sender<Answer>;
pub(crate) type Answer = Result<Decision, Unanswered>;

/// Why there is no decision.
#[derive(Debug, Clone)]
pub(crate) enum Unanswered {
    /// The store failed: the policy decides, for each request by itself.
    Store(larder_store::Error),
    /// Otherwise.
    Other(Error),
}

/// How a request comes in.
pub(crate) enum Entered {
    /// As the first: it goes by itself, at once.
    First(Turn),
    /// With those that are decided next.
    Next(oneshot::Receiver<Answer>),
}

impl Together {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn enter(shared: &Arc<Shared>, ask: Ask) -> Entered {
        let mut waiting = shared.together.shard(&ask);
        if let Some(waiters) = waiting.get_mut(&ask) {
            let (waiter, answer) = oneshot::channel();
            waiters.push(waiter);
            return Entered::Next(answer);
        }
        waiting.insert(ask.clone(), Vec::new());
        drop(waiting);
        Entered::First(Turn {
            shared: Arc::clone(shared),
            ask,
            first: true,
        })
    }

    fn shard(&self, ask: &Ask) -> MutexGuard<'_, Waiting> {
        lock(&self.shards[self.hasher.hash_one(&ask.key) as usize % SHARDS])
    }

    /// Those who are next; nobody if there are none, and then the identity is free.
    fn next(&self, ask: &Ask) -> Vec<Waiter> {
        let mut waiting = self.shard(ask);
        let Some(waiters) = waiting.get_mut(ask) else {
            return Vec::new();
        };
        if waiters.is_empty() {
            waiting.remove(ask);
            return Vec::new();
        }
        let most = waiters.len().min(MOST);
        waiters.drain(..most).collect()
    }

    fn has_waiters(&self, ask: &Ask) -> bool {
        let mut waiting = self.shard(ask);
        let waited = waiting.get(ask).is_some_and(|waiters| !waiters.is_empty());
        if !waited {
            waiting.remove(ask);
        }
        waited
    }

    fn remove(&self, ask: &Ask) {
        let waiters = self.shard(ask).remove(ask);
        // Whoever waited hears that it was lost.
        drop(waiters);
    }
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PartialEq for Ask {
    fn eq(&self, other: &Self) -> bool {
        self.cost == other.cost && self.key == other.key && Arc::ptr_eq(&self.plans, &other.plans)
    }
}

impl Eq for Ask {}

impl std::hash::Hash for Ask {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.key, self.cost).hash(state);
    }
}

/// The duty to let the next ones go. Whoever has it may go away at any time.
pub(crate) struct Turn {
    shared: Arc<Shared>,
    ask: Ask,
    /// Whether it is a caller's, and not that of the task which decides for those who wait.
    first: bool,
}

impl Turn {
    /// Decides for those who wait, until there are none.
    async fn go_on(self) {
        loop {
            let waiters = self.shared.together.next(&self.ask);
            if waiters.is_empty() {
                return;
            }
            self.decide(waiters).await;
        }
    }

    /// Takes for all at once; where that is too much for as many as there is room for, until one alone is refused.
    async fn decide(&self, waiters: Vec<Waiter>) {
        let cost = self.ask.cost;
        let mut waiters = waiters.into_iter();
        while waiters.len() > 0 {
            // What the request before has left in a block.
            if let Some(decision) = self.shared.spend_of_block(&self.ask) {
                if let Some(waiter) = waiters.next() {
                    // Whoever has gone away has spent.
                    let _ = waiter.send(Ok(decision));
                }
                continue;
            }
            match self.shared.take(&self.ask, waiters.len() as u64).await {
                (0, answer) => {
                    for waiter in waiters.by_ref() {
                        let _ = waiter.send(answer.clone());
                    }
                }
                (admitted, answer) => {
                    let admitted = waiters
                        .by_ref()
                        .take(admitted as usize)
                        .zip((0..admitted).rev());
                    for (waiter, after) in admitted {
                        let answer = answer.clone();
                        let _ = waiter.send(answer.map(|it| it.before(cost.saturating_mul(after))));
                    }
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.shared.together.has_waiters(&self.ask) {
            return;
        }
        match Handle::try_current() {
            // A task that is dropped, since its runtime ends, has no successor.
            Ok(runtime) if self.first => {
                let next = Self {
                    shared: Arc::clone(&self.shared),
                    ask: self.ask.clone(),
                    first: false,
                };
                runtime.spawn(next.go_on());
            }
            _ => self.shared.together.remove(&self.ask),
        }
    }
}
