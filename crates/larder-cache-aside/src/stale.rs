//! Entries past their TTL, within their grace.

use larder_cache::{CacheKey, Claim, Entry, Error, Fetched, Result};
use tokio::{sync::oneshot, time::timeout};

use crate::{CacheAside, cache_aside::fetched};

impl<K, V> CacheAside<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Loads a stale entry again. If that fails, or takes longer than the soft timeout, the stale one is
    /// served.
    pub(crate) async fn reload(&self, key: &K, entry: Entry<V>) -> Result<Fetched<V>> {
        let (claim, store_error) = match self.inner.keyspace.claim(key, &entry).await {
            Ok(claim) => (claim, None),
            Err(error) => (None, Some(error)),
        };
        let Some(soft_timeout) = self.inner.soft_timeout else {
            let reloaded = self.load_again(key, claim, store_error).await;
            return Ok(self.unless_failed(reloaded, entry));
        };
        let (report, reloaded) = oneshot::channel();
        let (this, key) = (self.clone(), key.clone());
        self.inner.keyspace.spawn(async move {
            // The caller may have gone away; the entry is refreshed all the same.
            let _ = report.send(this.load_again(&key, claim, store_error).await);
        });
        match timeout(soft_timeout, reloaded).await {
            Ok(Ok(reloaded)) => Ok(self.unless_failed(reloaded, entry)),
            // Too slow, or the loader panicked.
            _ => Ok(self.stale(entry, None)),
        }
    }

    async fn load_again(
        &self,
        key: &K,
        claim: Option<Claim<V>>,
        store_error: Option<Error>,
    ) -> Result<Fetched<V>> {
        let Some(claim) = claim else {
            return self.load_uncached(key, store_error).await;
        };
        let loaded = self.inner.origin.load(&self.inner.keyspace, key).await?;
        let refreshed = claim.refresh(&loaded).await;
        Ok(fetched(loaded, refreshed, None))
    }

    fn unless_failed(&self, reloaded: Result<Fetched<V>>, entry: Entry<V>) -> Fetched<V> {
        match reloaded {
            Ok(fetched) => fetched,
            Err(error) => self.stale(entry, Some(error)),
        }
    }

    fn stale(&self, entry: Entry<V>, load_error: Option<Error>) -> Fetched<V> {
        self.inner.keyspace.count_stale_served();
        Fetched::stale(entry, load_error)
    }
}
