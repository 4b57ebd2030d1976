//! A store that fails on command.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use larder_store::{
    Cursor, Error, ErrorKind, Key, Page, Ready, Reply, Result, Store, Subscription, Timestamp,
    Update,
};
use tokio::{sync::watch, time::sleep};

/// A store whose next operations can be made to fail, wait, lose their reply, or be applied late.
///
/// Faults are taken in the order they were given, each by the next operation of its sort; without one an
/// operation passes.
#[derive(Debug, Clone)]
pub struct FaultStore {
    store: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    faults: VecDeque<(Operation, Fault)>,
    late: Vec<BoxFuture<'static, ()>>,
    down: Option<ErrorKind>,
    refused: HashMap<Key, ErrorKind>,
    log: Vec<Operation>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("faults", &self.faults)
            .field("late", &self.late.len())
            .field("down", &self.down)
            .finish_non_exhaustive()
    }
}

/// What is done to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Any of them.
    Any,
    /// `get`.
    Get,
    /// `get_many`.
    GetMany,
    /// `scan`.
    Scan,
    /// `set`.
    Set,
    /// `set_many`.
    SetMany,
    /// `delete`.
    Delete,
    /// `update` or `update_many` with this script first.
    Update(&'static str),
    /// `subscribe`.
    Subscribe,
    /// `ping`.
    Ping,
}

impl Operation {
    fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }
}

/// What goes wrong.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The operation fails and does nothing.
    Fail(ErrorKind),
    /// The operation waits this long, then passes.
    Delay(Duration),
    /// The operation waits at the gate, then passes.
    Wait(Gate),
    /// The operation is applied, and reported as timed out.
    DropReply,
    /// The operation is reported as timed out, and applied when [`FaultStore::deliver_late`] is called.
    Late,
}

/// Holds an operation back, to force an interleaving.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: Arc<watch::Sender<bool>>,
    open: Arc<watch::Sender<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            reached: Arc::new(watch::Sender::new(false)),
            open: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns once an operation waits at the gate.
    pub async fn reached(&self) {
        // The sender lives as long as the gate, so this can't fail.
        let _ = self.reached.subscribe().wait_for(|reached| *reached).await;
    }

    /// Lets it pass, now or when it comes.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits at the gate.
    pub async fn pass(&self) {
        self.reached.send_replace(true);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

impl FaultStore {
    /// A store around this one that passes everything, until told otherwise.
    #[must_use]
    pub fn new(store: impl Into<Arc<dyn Store>>) -> Self {
        Self {
            store: store.into(),
            state: Arc::default(),
        }
    }

    /// The next operation of this sort meets this fault.
    pub fn inject(&self, operation: Operation, fault: Fault) {
        self.lock().faults.push_back((operation, fault));
    }

    /// Every operation fails like this from now on; `None` ends it.
    pub fn down(&self, kind: Option<ErrorKind>) {
        self.lock().down = kind;
    }

    /// Every update of this key fails by itself like this from now on, also within batches, and does nothing.
    pub fn refuse(&self, key: &Key, kind: ErrorKind) {
        self.lock().refused.insert(key.clone(), kind);
    }

    /// Applies what was reported as timed out and kept back, in order.
    pub async fn deliver_late(&self) {
        let late = std::mem::take(&mut self.lock().late);
        for operation in late {
            operation.await;
        }
    }

    /// The operations since the last call.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        std::mem::take(&mut self.lock().log)
    }

    async fn through<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnOnce(Arc<dyn Store>) -> BoxFuture<'static, Result<T>> + Send,
    ) -> Result<T> {
        let fault = self.next(operation)?;
        let work = work(Arc::clone(&self.store));
        match fault {
            None => work.await,
            Some(Fault::Fail(kind)) => Err(injected(kind)),
            Some(Fault::Delay(delay)) => {
                sleep(delay).await;
                work.await
            }
            Some(Fault::Wait(gate)) => {
                gate.pass().await;
                work.await
            }
            Some(Fault::DropReply) => {
                // Applied, whatever it says: the reply is what got lost.
                let _ = work.await;
                Err(injected(ErrorKind::Timeout))
            }
            Some(Fault::Late) => {
                let late = Box::pin(async move {
                    let _ = work.await;
                });
                self.lock().late.push(late);
                Err(injected(ErrorKind::Timeout))
            }
        }
    }

    fn next(&self, operation: Operation) -> Result<Option<Fault>> {
        let mut state = self.lock();
        state.log.push(operation);
        if let Some(kind) = state.down {
            return Err(injected(kind));
        }
        let mut faults = state.faults.iter();
        let at = faults.position(|(sort, _)| sort.covers(operation));
        Ok(at
            .and_then(|at| state.faults.remove(at))
            .map(|(_, fault)| fault))
    }

    fn refusal(&self, key: &Key) -> Result<()> {
        match self.lock().refused.get(key) {
            Some(kind) => Err(injected(*kind)),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn injected(kind: ErrorKind) -> Error {
    Error::new(kind, "an injected fault")
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for FaultStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let key = key.clone();
        self.through(Operation::Get, |store| {
            Box::pin(async move { store.get(&key).await })
        })
        .await
    }

    /// Never: a fault may make any look-up wait.
    fn get_ready(&self, _key: &Key) -> Option<Ready> {
        None
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let keys = keys.to_vec();
        self.through(Operation::GetMany, |store| {
            Box::pin(async move { store.get_many(&keys).await })
        })
        .await
    }

    async fn set(&self, key: &Key, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        let key = key.clone();
        self.through(Operation::Set, |store| {
            Box::pin(async move { store.set(&key, value, ttl).await })
        })
        .await
    }

    async fn set_many(&self, entries: &[(Key, Bytes)], ttl: Option<Duration>) -> Result<()> {
        let entries = entries.to_vec();
        self.through(Operation::SetMany, |store| {
            Box::pin(async move { store.set_many(&entries, ttl).await })
        })
        .await
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64> {
        let keys = keys.to_vec();
        self.through(Operation::Delete, |store| {
            Box::pin(async move { store.delete(&keys).await })
        })
        .await
    }

    async fn scan(&self, prefix: &[u8], cursor: Option<Cursor>) -> Result<Page> {
        let prefix = prefix.to_vec();
        self.through(Operation::Scan, |store| {
            Box::pin(async move { store.scan(&prefix, cursor).await })
        })
        .await
    }

    async fn update(&self, key: &Key, update: &Update) -> Result<Reply> {
        self.refusal(key)?;
        let (key, update) = (key.clone(), update.clone());
        self.through(Operation::Update(update.script().name()), |store| {
            Box::pin(async move { store.update(&key, &update).await })
        })
        .await
    }

    /// Updates may meet a fault, and then they wait.
    fn update_ready(&self, _key: &Key, _update: &Update) -> Option<Result<Reply>> {
        None
    }

    async fn update_many(&self, updates: &[(Key, Update)]) -> Result<Vec<Result<Reply>>> {
        let first = updates
            .first()
            .map_or("", |(_, update)| update.script().name());
        let refusals = updates.iter().map(|(key, _)| self.refusal(key));
        let mut replies: Vec<Result<Reply>> = refusals.map(|it| it.map(|()| Reply::Nil)).collect();
        let passing = updates.iter().zip(&replies);
        let passing = passing.filter(|(_, reply)| reply.is_ok());
        let passing: Vec<_> = passing.map(|(update, _)| update.clone()).collect();
        let passed = self
            .through(Operation::Update(first), |store| {
                Box::pin(async move { store.update_many(&passing).await })
            })
            .await?;
        let places = replies.iter_mut().filter(|reply| reply.is_ok());
        for (place, reply) in places.zip(passed) {
            *place = reply;
        }
        Ok(replies)
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription> {
        let key = key.clone();
        self.through(Operation::Subscribe, |store| {
            Box::pin(async move { store.subscribe(&key).await })
        })
        .await
    }

    async fn ping(&self) -> Result<()> {
        self.through(Operation::Ping, |store| {
            Box::pin(async move { store.ping().await })
        })
        .await
    }

    fn now(&self) -> Option<Timestamp> {
        self.store.now()
    }
}

impl From<FaultStore> for Arc<dyn Store> {
    fn from(store: FaultStore) -> Self {
        Arc::new(store)
    }
}
