//! What the leader of a flight does, by what it saw.

use std::time::Duration;

use larder_cache::{Busy, CacheKey, Entry, Error, Fetched, Leased, Lookup, Result, Vacancy};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use crate::{
    Coalesce,
    coalesce::{Id, Landing, Lead, coalesced},
};

/// How long to let others join before a load without the store. A store that fails at once would otherwise give each
/// of many callers, who start together, a load of its own.
const GATHER: Duration = Duration::from_millis(2);

impl<K, V> Coalesce<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) async fn fly(
        &self,
        key: &K,
        found: Lookup<V>,
        end: Instant,
        leader: &mut Lead<V>,
    ) -> Landing<V> {
        match found {
            Lookup::Hit(entry) => Landing::Loaded(self.reload(key, entry).await),
            Lookup::Miss(vacancy) => self.load_under_lease(key, vacancy, leader).await,
            Lookup::Busy(busy) if busy.lease().is_some() => self.wait(busy, end).await,
            Lookup::Busy(_) => self.load_apart(key, None, leader).await,
            Lookup::Failed(error) => {
                sleep(GATHER).await;
                self.load_apart(key, Some(error), leader).await
            }
        }
    }

    async fn load_under_lease(
        &self,
        key: &K,
        vacancy: Vacancy,
        leader: &mut Lead<V>,
    ) -> Landing<V> {
        // Those who missed together join before the lease is asked for, and can be answered from what is found there.
        yield_now().await;
        leader.seal();
        let seen = vacancy.error().cloned();
        let lease = match self.inner.keyspace.lease(vacancy).await {
            Ok(Leased::Granted(lease)) => lease,
            Ok(Leased::Refused(Lookup::Hit(entry))) if !entry.is_stale() => {
                return Landing::Found(entry.into());
            }
            Ok(Leased::Refused(Lookup::Busy(busy))) if busy.lease().is_none() => {
                return self.load_apart(key, seen, leader).await;
            }
            Ok(Leased::Refused(Lookup::Failed(error))) | Err(error) => {
                return self.load_apart(key, Some(error), leader).await;
            }
            Ok(Leased::Refused(_)) => return Landing::Again,
        };
        leader.rename(Id::Lease(lease.token()));
        let loaded = match self.inner.origin.load(&self.inner.keyspace, key).await {
            Ok(loaded) => loaded,
            Err(error) => return Landing::Loaded(Err(error)),
        };
        let filled = lease.fill(&loaded).await;
        Landing::Loaded(Ok(Fetched::filled(loaded, filled, seen)))
    }

    /// Waits for a load in another process.
    async fn wait(&self, busy: Busy, end: Instant) -> Landing<V> {
        match self.inner.keyspace.wait(busy, end).await {
            // Every follower saw the lease, so what came after it is young enough for all of them.
            Lookup::Hit(entry) if !entry.is_stale() => {
                self.inner.keyspace.count_coalesced();
                Landing::Loaded(Ok(coalesced(entry.into())))
            }
            _ => Landing::Again,
        }
    }

    /// Loads and stores nothing: one load at a time for this key, for all who came before it started.
    async fn load_apart(&self, key: &K, why: Option<Error>, leader: &mut Lead<V>) -> Landing<V> {
        self.begin_apart(key, leader).await;
        Landing::Loaded(self.load_alone(key, why).await)
    }

    /// Waits until no other load without the store is under way for this key, then says that this one begins.
    pub(crate) async fn begin_apart(&self, key: &K, leader: &mut Lead<V>) {
        if let Ok(address) = self.inner.keyspace.address(key) {
            leader.rename_alone(&Id::Apart(address)).await;
            leader.begin();
        }
    }

    /// Loads a stale entry again. If that fails, the stale one is served.
    async fn reload(&self, key: &K, entry: Entry<V>) -> Result<Fetched<V>> {
        let keyspace = &self.inner.keyspace;
        let (claim, why) = match keyspace.claim(key, entry.stamp()).await {
            Ok(claim) => (claim, None),
            Err(error) => (None, Some(error)),
        };
        let loaded = match self.inner.origin.load(keyspace, key).await {
            Ok(loaded) => loaded,
            Err(error) => {
                keyspace.count_stale_served();
                return Ok(Fetched::stale(entry, Some(error)));
            }
        };
        Ok(match claim {
            Some(claim) => {
                let refreshed = claim.refresh(&loaded).await;
                Fetched::filled(loaded, refreshed, why)
            }
            None => Fetched::loaded(loaded, why),
        })
    }
}
