//! Entries past their TTL, within their grace.

use larder_cache::{CacheKey, Claim, Entry, Error, ErrorKind, Fetched, Result};
use tokio::{sync::oneshot, time::timeout};

use crate::CacheAside;

impl<K, V> CacheAside<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Loads a stale entry again. If that fails, or takes longer than the soft timeout, the stale one is
    /// served.
    pub(crate) async fn reload(&self, key: &K, entry: Entry<V>) -> Result<Fetched<V>> {
        let claim = self.inner.keyspace.claim(key, entry.stamp()).await;
        let Some(soft_timeout) = self.inner.soft_timeout else {
            let reloaded = match claim {
                Ok(claim) => self.load_again(key, claim).await,
                Err(error) => self.load_uncached(key, Some(error)).await,
            };
            return Ok(self.unless_failed(reloaded, entry));
        };
        let reloaded = match claim {
            Ok(Some(claim)) => timeout(soft_timeout, self.load_behind(key, claim)).await,
            // Someone else is at it.
            Ok(None) => return Ok(self.stale(entry, None)),
            Err(error) => timeout(soft_timeout, self.load_uncached(key, Some(error))).await,
        };
        match reloaded {
            Ok(reloaded) => Ok(self.unless_failed(reloaded, entry)),
            Err(_too_slow) => Ok(self.stale(entry, None)),
        }
    }

    /// Loads in the background, so that the entry is refreshed even if the caller doesn't wait for it.
    async fn load_behind(&self, key: &K, claim: Claim<V>) -> Result<Fetched<V>> {
        let (report, reloaded) = oneshot::channel();
        let (this, key) = (self.clone(), key.clone());
        self.inner.keyspace.spawn(async move {
            // The caller may have gone away; the entry is refreshed all the same.
            let _ = report.send(this.load_again(&key, Some(claim)).await);
        });
        let lost = |_| {
            Error::new(
                ErrorKind::Loader,
                "the loader panicked, or too many loads are under way",
            )
        };
        reloaded.await.map_err(lost)?
    }

    async fn load_again(&self, key: &K, claim: Option<Claim<V>>) -> Result<Fetched<V>> {
        let Some(claim) = claim else {
            return self.load_uncached(key, None).await;
        };
        let loaded = self.inner.origin.load(&self.inner.keyspace, key).await?;
        let refreshed = claim.refresh(&loaded).await;
        Ok(Fetched::filled(loaded, refreshed, None))
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
