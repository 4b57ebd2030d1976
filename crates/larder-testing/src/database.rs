//! A loader that does what it is told.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use larder_cache::Loader;

use crate::Gate;

/// A database of numbers that counts how often it is asked, and does what it is told.
#[derive(Debug, Clone, Default)]
pub struct Database {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: Mutex<HashMap<u64, String>>,
    loads: AtomicU64,
    batches: AtomicU64,
    orders: Mutex<Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    fails: Option<io::ErrorKind>,
    panics: bool,
    delay: Duration,
    after_read: Option<Gate>,
}

impl Database {
    /// With these rows.
    #[must_use]
    pub fn with(rows: impl IntoIterator<Item = (u64, &'static str)>) -> Self {
        let database = Self::default();
        for (id, row) in rows {
            database.put(id, row);
        }
        database
    }

    /// Writes a row.
    pub fn put(&self, id: u64, row: &str) {
        lock(&self.state.rows).insert(id, row.to_owned());
    }

    /// Deletes a row.
    pub fn remove(&self, id: u64) {
        lock(&self.state.rows).remove(&id);
    }

    /// How many rows were asked for.
    #[must_use]
    pub fn loads(&self) -> u64 {
        self.state.loads.load(SeqCst)
    }

    /// How many batches were asked for.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.state.batches.load(SeqCst)
    }

    /// Loads fail like this from now on; `None` ends it.
    pub fn fail(&self, kind: Option<io::ErrorKind>) {
        lock(&self.state.orders).fails = kind;
    }

    /// Loads panic from now on, or don't any more.
    pub fn panic(&self, panics: bool) {
        lock(&self.state.orders).panics = panics;
    }

    /// Loads take this long from now on.
    pub fn delay(&self, delay: Duration) {
        lock(&self.state.orders).delay = delay;
    }

    /// The next load has read its row, and then waits at this gate.
    #[must_use]
    pub fn hold_next_load(&self) -> Gate {
        let gate = Gate::new();
        lock(&self.state.orders).after_read = Some(gate.clone());
        gate
    }

    fn read(&self, id: u64) -> Option<String> {
        self.state.loads.fetch_add(1, SeqCst);
        lock(&self.state.rows).get(&id).cloned()
    }

    /// What is to be done between the read and the answer.
    async fn dawdle(&self) -> io::Result<()> {
        let (delay, gate, panics) = {
            let mut orders = lock(&self.state.orders);
            (orders.delay, orders.after_read.take(), orders.panics)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if let Some(gate) = gate {
            gate.pass().await;
        }
        assert!(!panics, "the database was told to panic");
        match lock(&self.state.orders).fails {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Loader<u64, String> for Database {
    type Error = io::Error;

    async fn load(&self, id: &u64) -> io::Result<Option<String>> {
        let row = self.read(*id);
        self.dawdle().await?;
        Ok(row)
    }

    async fn load_many(&self, ids: &[u64]) -> io::Result<Vec<Option<String>>> {
        self.state.batches.fetch_add(1, SeqCst);
        let rows = ids.iter().map(|id| self.read(*id)).collect();
        self.dawdle().await?;
        Ok(rows)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
