//! What these tests share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use larder_cache_aside::{CacheAside, CacheAsideBuilder, Loader, async_trait};
use larder_store::{Key, Namespace, Store};
use larder_testing::Gate;

/// A database of numbers that counts how often it is asked, and does what it is told.
#[derive(Clone, Default)]
pub(crate) struct Database {
    rows: Arc<Mutex<HashMap<u64, String>>>,
    pub(crate) loads: Arc<AtomicU64>,
    pub(crate) batches: Arc<AtomicU64>,
    fails: Arc<Mutex<Option<io::ErrorKind>>>,
    delay: Arc<Mutex<Duration>>,
    after_read: Arc<Mutex<Option<Gate>>>,
}

impl Database {
    pub(crate) fn with(rows: impl IntoIterator<Item = (u64, &'static str)>) -> Self {
        let database = Self::default();
        for (id, row) in rows {
            database.put(id, row);
        }
        database
    }

    pub(crate) fn put(&self, id: u64, row: &str) {
        self.rows.lock().expect("a lock").insert(id, row.to_owned());
    }

    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(SeqCst)
    }

    pub(crate) fn fail(&self, kind: Option<io::ErrorKind>) {
        *self.fails.lock().expect("a lock") = kind;
    }

    pub(crate) fn delay(&self, delay: Duration) {
        *self.delay.lock().expect("a lock") = delay;
    }

    /// The next load has read its row, and then waits at this gate.
    pub(crate) fn hold_next_load(&self) -> Gate {
        let gate = Gate::new();
        *self.after_read.lock().expect("a lock") = Some(gate.clone());
        gate
    }

    fn read(&self, id: u64) -> Option<String> {
        self.loads.fetch_add(1, SeqCst);
        self.rows.lock().expect("a lock").get(&id).cloned()
    }
}

#[async_trait]
impl Loader<u64, String> for Database {
    type Error = io::Error;

    async fn load(&self, id: &u64) -> io::Result<Option<String>> {
        let row = self.read(*id);
        let delay = *self.delay.lock().expect("a lock");
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let gate = self.after_read.lock().expect("a lock").take();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        match *self.fails.lock().expect("a lock") {
            Some(kind) => Err(kind.into()),
            None => Ok(row),
        }
    }

    async fn load_many(&self, ids: &[u64]) -> io::Result<Vec<Option<String>>> {
        self.batches.fetch_add(1, SeqCst);
        match *self.fails.lock().expect("a lock") {
            Some(kind) => Err(kind.into()),
            None => Ok(ids.iter().map(|id| self.read(*id)).collect()),
        }
    }
}

pub(crate) const NAME: &str = "row";

pub(crate) fn builder(store: impl Into<Arc<dyn Store>>) -> CacheAsideBuilder<u64, String> {
    CacheAside::builder(store, NAME)
        .ttl(Duration::from_secs(60))
        .jitter(0.0)
}

pub(crate) fn cache(
    store: impl Into<Arc<dyn Store>>,
    database: &Database,
) -> CacheAside<u64, String> {
    builder(store).build(database.clone()).expect("a cache")
}

/// Where the cache keeps this key.
pub(crate) fn address(id: u64) -> Key {
    Namespace::new(NAME, 1)
        .and_then(|space| space.key(&id))
        .expect("a key")
}
