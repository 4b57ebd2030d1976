//! The origin: the loader and how long it may take.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{
    Error, ErrorKind, Keyspace, Loader, Result,
    loader::{AnyLoader, erase},
};

/// A value on its way from the origin to the store. `Debug` doesn't show it.
#[derive(Clone)]
pub struct Loaded<V> {
    /// The value, or `None` if the origin has none.
    pub value: Option<V>,
    /// How long it counts as fresh, if the loader said so.
    pub ttl: Option<Duration>,
    /// How long the load took.
    pub cost: Duration,
}

impl<V> std::fmt::Debug for Loaded<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("negative", &self.value.is_none())
            .field("ttl", &self.ttl)
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// Where a pattern gets what the store doesn't have: a loader, watched over.
pub struct Origin<K, V> {
    loader: Arc<dyn AnyLoader<K, V>>,
}

impl<K: Sync + 'static, V: Send + 'static> Origin<K, V> {
    /// This loader.
    pub fn new(loader: impl Loader<K, V>) -> Self {
        Self {
            loader: erase(loader),
        }
    }

    /// Loads one key within the keyspace's load timeout, and counts it in its stats.
    ///
    /// # Errors
    /// [`ErrorKind::Loader`] and [`ErrorKind::LoaderTimeout`].
    ///
    /// # Cancellation
    /// Dropping the future drops the load.
    pub async fn load(&self, space: &Keyspace<K, V>, key: &K) -> Result<Loaded<V>> {
        let started = Instant::now();
        let counted = Counted::new(space, 1, started);
        let value = bounded(space.load_timeout(), self.loader.load(key)).await?;
        counted.succeeded();
        Ok(self.loaded(key, value, started.elapsed()))
    }

    /// Loads several keys at once, in their order.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`ErrorKind::Loader`] also if the loader returned another number of values.
    pub async fn load_many(&self, space: &Keyspace<K, V>, keys: &[K]) -> Result<Vec<Loaded<V>>> {
        let started = Instant::now();
        let counted = Counted::new(space, keys.len() as u64, started);
        let values = bounded(space.load_timeout(), self.loader.load_many(keys)).await?;
        if values.len() != keys.len() {
            let message = format!(
                "load_many was asked for {} keys and returned {} values",
                keys.len(),
                values.len()
            );
            return Err(Error::new(ErrorKind::Loader, message));
        }
        counted.succeeded();
        let cost = started.elapsed();
        let loaded = |(key, value)| self.loaded(key, value, cost);
        Ok(keys.iter().zip(values).map(loaded).collect())
    }

    fn loaded(&self, key: &K, value: Option<V>, cost: Duration) -> Loaded<V> {
        Loaded {
            ttl: self.loader.ttl(key, value.as_ref()),
            value,
            cost,
        }
    }
}

async fn bounded<T>(
    limit: Duration,
    load: impl Future<Output = Result<T, larder_store::BoxError>>,
) -> Result<T> {
    match timeout(limit, load).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(Error::new(ErrorKind::Loader, "the loader failed").with_source(error))
        }
        Err(elapsed) => Err(Error::new(
            ErrorKind::LoaderTimeout,
            format!("the loader did not answer within {limit:?}"),
        )
        .with_source(elapsed)),
    }
}

impl<K, V> Clone for Origin<K, V> {
    fn clone(&self) -> Self {
        Self {
            loader: Arc::clone(&self.loader),
        }
    }
}

impl<K, V> std::fmt::Debug for Origin<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

/// Counts a load however it ends: one that fails, panics or is dropped is an error.
struct Counted<'a, K, V> {
    space: &'a Keyspace<K, V>,
    keys: u64,
    started: Instant,
    failed: bool,
}

impl<'a, K, V> Counted<'a, K, V> {
    fn new(space: &'a Keyspace<K, V>, keys: u64, started: Instant) -> Self {
        space.counters().loads.add(keys);
        Self {
            space,
            keys,
            started,
            failed: true,
        }
    }

    fn succeeded(mut self) {
        self.failed = false;
    }
}

impl<K, V> Drop for Counted<'_, K, V> {
    fn drop(&mut self) {
        let counters = self.space.counters();
        let micros = self.started.elapsed().as_micros();
        counters
            .load_time_us
            .add(u64::try_from(micros).unwrap_or(u64::MAX));
        if self.failed {
            counters.load_errors.add(self.keys);
        }
    }
}
