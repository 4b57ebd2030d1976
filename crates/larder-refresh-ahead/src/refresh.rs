//! Loading an entry again behind the callers' backs.

use std::time::Duration;

use larder_cache::{CacheKey, Entry, Error};

use tokio::time::Instant;

use crate::{RefreshAhead, refreshes::Running};

/// How long to leave an entry alone that someone else refreshes: as long as its load took, within these.
const SHORTEST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(1);

impl<K, V> RefreshAhead<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Sees to it that the entry is loaded again, and returns at once.
    pub(crate) fn refresh(&self, key: &K, entry: &Entry<V>) {
        let Ok(address) = self.inner.misses.keyspace().address(key) else {
            return;
        };
        let Some(running) = self.inner.refreshes.start(&address, entry.stamp()) else {
            return;
        };
        let (this, key) = (self.clone(), key.clone());
        let rest = entry.cost().clamp(SHORTEST_REST, LONGEST_REST);
        let task = async move { this.load_again(&key, running, rest).await };
        // One that doesn't start has failed, and rests.
        self.inner.misses.keyspace().spawn(task);
    }

    /// Why the last refresh of this entry failed, if it did.
    pub(crate) fn last_error(&self, key: &K, entry: &Entry<V>) -> Option<Error> {
        let address = self.inner.misses.keyspace().address(key).ok()?;
        self.inner.refreshes.last_error(&address, entry.stamp())
    }

    async fn load_again(&self, key: &K, mut running: Running<V>, rest: Duration) {
        let keyspace = self.inner.misses.keyspace();
        let asked = Instant::now();
        let (claim, asked) = match running.kept_claim(keyspace.lease_lifetime()) {
            Some(kept) => *kept,
            None => match keyspace.claim(key, running.stamp).await {
                Ok(Some(claim)) => (claim, asked),
                Ok(None) => return running.elsewhere(rest),
                Err(error) => return running.failed(None, error),
            },
        };
        let failed = CountFailure(self, true);
        let loaded = match self.inner.misses.origin().load(keyspace, key).await {
            Ok(loaded) => loaded,
            Err(error) => return running.failed(Some(Box::new((claim, asked))), error),
        };
        match claim.refresh(&loaded).await {
            Ok(_) => {
                failed.was_none();
                running.done();
            }
            Err(error) => running.failed(None, error),
        }
    }
}

/// Counts a refresh as failed, also one that panics.
struct CountFailure<'a, K, V>(&'a RefreshAhead<K, V>, bool);

impl<K, V> CountFailure<'_, K, V> {
    fn was_none(mut self) {
        self.1 = false;
    }
}

impl<K, V> Drop for CountFailure<'_, K, V> {
    fn drop(&mut self) {
        if self.1 {
            self.0.inner.misses.keyspace().count_refresh_error();
        }
    }
}
