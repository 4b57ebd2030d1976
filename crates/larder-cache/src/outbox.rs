//! What is sent to the store behind the callers' backs.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use larder_store::{Key, Step, Store, Update};
use tokio::{runtime::Handle, time::sleep};
use tokio_util::task::TaskTracker;

use crate::{protocol::Invalidate, stats::Counters};

/// How much may wait to be sent, of each sort.
const CAPACITY: usize = 10_000;
const BATCH: usize = 128;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// Leases and claims whose callers went away, given back in one try, since they run out anyway; and invalidations
/// that the store could not be told, repeated until it was. One worker sends them, for as long as there are any.
#[derive(Debug)]
pub(crate) struct Outbox {
    store: Arc<dyn Store>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    give_backs: Vec<(Key, Update)>,
    invalidations: HashSet<Key>,
    working: bool,
}

/// What one round sends.
enum Batch {
    GiveBacks(Vec<(Key, Update)>),
    Invalidations(Vec<(Key, Update)>),
}

impl Outbox {
    pub(crate) fn new(store: Arc<dyn Store>, counters: Arc<Counters>, tasks: TaskTracker) -> Self {
        Self {
            store,
            counters,
            tasks,
            waiting: Mutex::default(),
        }
    }

    /// Gives a lease or a claim back by this update.
    pub(crate) fn give_back(self: &Arc<Self>, key: Key, update: Update) {
        let mut waiting = self.lock();
        if waiting.give_backs.len() < CAPACITY {
            waiting.give_backs.push((key, update));
        }
        drop(waiting);
        self.work();
    }

    /// Invalidates a key as soon as the store can be told. Says whether there was room for it.
    pub(crate) fn invalidate(self: &Arc<Self>, key: &Key) -> bool {
        let mut waiting = self.lock();
        let room = waiting.invalidations.len() < CAPACITY || waiting.invalidations.contains(key);
        if room {
            waiting.invalidations.insert(key.clone());
            self.counters.deferred.increment();
        } else {
            self.counters.deferred_dropped.increment();
        }
        drop(waiting);
        self.work();
        room
    }

    /// How many invalidations wait to be sent.
    pub(crate) fn pending(&self) -> usize {
        self.lock().invalidations.len()
    }

    /// Sees to it that a worker is at it. Never called with the lock held: a runtime that is shutting down
    /// drops the task at once, and its drop takes the lock.
    fn work(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let working = std::mem::replace(&mut self.lock().working, true);
        if !working {
            let worker = Worker {
                outbox: Arc::clone(self),
                done: false,
            };
            self.tasks.spawn_on(worker.run(), &runtime);
        }
    }

    /// The next batch; if there is none, the worker is done.
    fn take(&self) -> Option<Batch> {
        let mut waiting = self.lock();
        if !waiting.give_backs.is_empty() {
            let from = waiting.give_backs.len().saturating_sub(BATCH);
            return Some(Batch::GiveBacks(waiting.give_backs.split_off(from)));
        }
        let keys: Vec<_> = waiting.invalidations.iter().take(BATCH).cloned().collect();
        if keys.is_empty() {
            waiting.working = false;
            return None;
        }
        for key in &keys {
            waiting.invalidations.remove(key);
        }
        let updates = keys.into_iter().map(|key| (key, Invalidate.update()));
        Some(Batch::Invalidations(updates.collect()))
    }

    fn put_back(&self, keys: impl IntoIterator<Item = Key>) {
        self.lock().invalidations.extend(keys);
    }

    /// Sends a batch. Says whether the store was there.
    async fn send(&self, batch: Batch) -> bool {
        let (updates, again) = match batch {
            Batch::GiveBacks(updates) => (updates, false),
            Batch::Invalidations(updates) => (updates, true),
        };
        // If this future is dropped, what it took goes back.
        let mut unsent = PutBack {
            outbox: self,
            keys: Vec::new(),
        };
        if again {
            unsent.keys = updates.iter().map(|(key, _)| key.clone()).collect();
        }
        match self.store.update_many(&updates).await {
            Ok(replies) => {
                let failed: Vec<bool> = replies
                    .iter()
                    .map(|reply| reply.as_ref().is_err_and(|error| error.is_transient()))
                    .collect();
                let mut failures = failed.iter();
                unsent
                    .keys
                    .retain(|_| failures.next().copied().unwrap_or_default());
                !failed.contains(&true)
            }
            Err(error) => {
                if !error.is_transient() {
                    unsent.keys.clear();
                }
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PutBack<'a> {
    outbox: &'a Outbox,
    keys: Vec<Key>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        self.outbox.put_back(self.keys.drain(..));
    }
}

/// The one task that empties the outbox.
struct Worker {
    outbox: Arc<Outbox>,
    done: bool,
}

impl Worker {
    async fn run(mut self) {
        let mut backoff = FIRST_BACKOFF;
        while let Some(batch) = self.outbox.take() {
            if self.outbox.send(batch).await {
                backoff = FIRST_BACKOFF;
            } else {
                sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
        self.done = true;
    }
}

/// Says that there is no worker any more, should its runtime end before its work.
impl Drop for Worker {
    fn drop(&mut self) {
        if !self.done {
            self.outbox.lock().working = false;
        }
    }
}
