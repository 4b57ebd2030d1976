//! What is sent to the store behind the callers' backs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use larder_store::{ErrorKind, Key, Step, Store, Update};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{
    protocol::{End, Invalidate},
    stats::Counters,
    token::Token,
};

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
    /// Something came while the worker rests.
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    give_backs: Vec<(Key, Update)>,
    invalidations: HashMap<Key, Invalidation>,
    requests: u64,
    working: bool,
}

/// What a key waits for: that it is invalidated, and that these holds end, which does the same.
#[derive(Debug, Clone, Default)]
struct Invalidation {
    /// The number of the request that came last, so that one which comes while an earlier one is being sent is sent
    /// again.
    request: u64,
    /// What failed goes behind what was not tried yet, and among each other they take turns.
    turn: (bool, u64),
    holds: Vec<Token>,
}

/// How many holds of one key are ended; others run out.
const MOST_HOLDS: usize = 16;

impl Invalidation {
    fn updates(&self, key: &Key) -> Vec<(Key, Update)> {
        if self.holds.is_empty() {
            return vec![(key.clone(), Invalidate.update())];
        }
        let end = |token: &Token| {
            let (token, value) = (*token, None);
            (key.clone(), End { token, value }.update())
        };
        self.holds.iter().map(end).collect()
    }
}

/// What one round sends.
enum Batch {
    GiveBacks(Vec<(Key, Update)>),
    Invalidations(Vec<(Key, Invalidation)>),
}

impl Outbox {
    pub(crate) fn new(store: Arc<dyn Store>, counters: Arc<Counters>, tasks: TaskTracker) -> Self {
        Self {
            store,
            counters,
            tasks,
            waiting: Mutex::default(),
            more: Notify::new(),
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
        self.put(key, None)
    }

    /// Ends a hold, and drops what is cached, as soon as the store can be told. Says whether there was room for it.
    pub(crate) fn end(self: &Arc<Self>, key: &Key, hold: Token) -> bool {
        self.put(key, Some(hold))
    }

    fn put(self: &Arc<Self>, key: &Key, hold: Option<Token>) -> bool {
        let mut waiting = self.lock();
        let known = waiting.invalidations.contains_key(key);
        let room = known || waiting.invalidations.len() < CAPACITY;
        if room {
            waiting.requests += 1;
            let request = waiting.requests;
            let invalidation = waiting.invalidations.entry(key.clone()).or_default();
            invalidation.request = request;
            if !known {
                invalidation.turn = (false, request);
            }
            if invalidation.holds.len() < MOST_HOLDS {
                invalidation.holds.extend(hold);
            }
            self.counters.deferred.increment();
        } else {
            self.counters.deferred_dropped.increment();
        }
        drop(waiting);
        self.work();
        room
    }

    /// How many invalidations wait to be acknowledged.
    pub(crate) fn pending(&self) -> usize {
        self.lock().invalidations.len()
    }

    /// Sees to it that a worker is at it. Never called with the lock held: a runtime that is shutting down
    /// drops the task at once, and its drop takes the lock.
    fn work(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        self.more.notify_one();
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
        let mut waits: Vec<_> = waiting.invalidations.iter().collect();
        if waits.is_empty() {
            waiting.working = false;
            return None;
        }
        if waits.len() > BATCH {
            waits.select_nth_unstable_by_key(BATCH, |(_, invalidation)| invalidation.turn);
            waits.truncate(BATCH);
        }
        let batch = waits.into_iter();
        let batch = batch.map(|(key, invalidation)| (key.clone(), invalidation.clone()));
        Some(Batch::Invalidations(batch.collect()))
    }

    /// Sends a batch. Says whether anything came of it.
    async fn send(&self, batch: Batch) -> bool {
        match batch {
            Batch::GiveBacks(updates) => self.send_give_backs(&updates).await,
            Batch::Invalidations(requests) => self.send_invalidations(requests).await,
        }
    }

    async fn send_give_backs(&self, updates: &[(Key, Update)]) -> bool {
        let sent = self.store.update_many(updates).await.is_ok();
        if !sent {
            // The others would meet the same store, and all of them run out by themselves.
            self.lock().give_backs.clear();
        }
        sent
    }

    /// What is not acknowledged stays, unless it can never be: the key holds another type of value, or the
    /// store was shut down.
    async fn send_invalidations(&self, requests: Vec<(Key, Invalidation)>) -> bool {
        let updates: Vec<_> = requests
            .iter()
            .flat_map(|(key, invalidation)| invalidation.updates(key))
            .collect();
        let replies = match self.store.update_many(&updates).await {
            Ok(replies) => replies,
            Err(error) => updates.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut replies = replies.into_iter();
        let mut any = false;
        for (key, invalidation) in requests {
            let own = replies.by_ref().take(invalidation.holds.len().max(1));
            // All of them are looked at, so that the replies stay in step.
            let failure = own.fold(None, |failure, reply| failure.or(reply.err()));
            match failure.map(|error| error.kind()) {
                None => {
                    any = true;
                    self.settled(&key, invalidation.request);
                }
                Some(ErrorKind::WrongType | ErrorKind::Shutdown) => {
                    any = true;
                    self.counters.deferred_dropped.increment();
                    self.settled(&key, invalidation.request);
                }
                Some(_) => self.failed(&key),
            }
        }
        any
    }

    /// The others go first, so that a key which fails by itself keeps nobody waiting.
    fn failed(&self, key: &Key) {
        let mut waiting = self.lock();
        waiting.requests += 1;
        let turn = waiting.requests;
        if let Some(invalidation) = waiting.invalidations.get_mut(key) {
            invalidation.turn = (true, turn);
        }
    }

    /// Waits for so long, or until something more comes, but not without a pause.
    async fn rest(&self, backoff: Duration) {
        sleep(FIRST_BACKOFF).await;
        // What came before the last batch was in it, or waits behind it.
        let more = self.more.notified();
        let _ = timeout(backoff.saturating_sub(FIRST_BACKOFF), more).await;
    }

    fn settled(&self, key: &Key, request: u64) {
        let mut waiting = self.lock();
        let last = waiting.invalidations.get(key).map(|it| it.request);
        if last == Some(request) {
            waiting.invalidations.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
                self.outbox.rest(backoff).await;
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
