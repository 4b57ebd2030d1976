//! The pattern.

use std::{fmt, sync::Arc, time::Duration};

use larder_cache::{
    CacheKey, Codec, Error, ErrorKind, Fetched, Keyspace, Lookup, Origin, Result, Source, Token,
};
use larder_store::{Key, Store};
use serde::{Serialize, de::DeserializeOwned};
use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

use crate::{
    CoalesceBuilder, Overload,
    flights::{Entered, Flight, Flights, Follower, Handover, Leader, Limits, Lost},
};

/// A cache whose concurrent misses of one key share one load: tasks of this process through single flight, processes
/// through the lease in the store. Cloning gives another handle on the same cache.
///
/// See the [crate's page](crate) for when to use it, what it guarantees and what it costs.
pub struct Coalesce<K, V> {
    pub(crate) inner: Arc<Inner<K, V>>,
}

pub(crate) struct Inner<K, V> {
    pub(crate) keyspace: Keyspace<K, V>,
    pub(crate) origin: Origin<K, V>,
    pub(crate) flights: Arc<Flights<Id, Landing<V>>>,
    pub(crate) wait_timeout: Duration,
    overload: Overload,
}

/// What a flight is known by: what its readers saw. A reader that starts after an invalidation sees something else than
/// those before it, so it never joins one of their loads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    /// Nothing is loaded for this key yet: whatever is, will be younger than all who join.
    Open(Key),
    /// The key is loaded under this lease.
    Lease(Token),
    /// The stale entry with this stamp is loaded again.
    Stale(Token),
    /// The key is loaded without the store, which can't be reached or may not be written. Only those join who came
    /// before the load began.
    Apart(Key),
}

/// When a read started; from [`Coalesce::started`].
#[derive(Debug, Clone, Copy)]
pub struct Started(pub(crate) u64);

/// What comes of a flight.
#[derive(Debug, Clone)]
pub(crate) enum Landing<V> {
    /// For everybody who follows.
    Loaded(Result<Fetched<V>>),
    /// Found in the store: for those who joined before the look.
    Found(Fetched<V>),
    /// Look again: the key is someone else's, or free.
    Again,
}

pub(crate) type Lead<V> = Leader<Id, Landing<V>>;

impl<K, V: Serialize + DeserializeOwned> Coalesce<K, V> {
    /// Settings of a cache in this store, under this name. Values are MessagePack.
    #[must_use]
    pub fn builder(store: impl Into<Arc<dyn Store>>, name: &str) -> CoalesceBuilder<K, V> {
        CoalesceBuilder::new(store, name)
    }
}

impl<K, V> Coalesce<K, V> {
    /// Settings of a cache whose values are encoded by this codec.
    #[must_use]
    pub fn builder_with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> CoalesceBuilder<K, V> {
        CoalesceBuilder::with_codec(store, name, codec)
    }

    pub(crate) fn new(
        keyspace: Keyspace<K, V>,
        origin: Origin<K, V>,
        limits: Limits,
        wait_timeout: Duration,
        overload: Overload,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                keyspace,
                origin,
                flights: Arc::new(Flights::new(limits)),
                wait_timeout,
                overload,
            }),
        }
    }

    /// The origin, for patterns that build on this one.
    #[must_use]
    pub fn origin(&self) -> &Origin<K, V> {
        &self.inner.origin
    }

    /// The moment a read starts, for patterns that look by themselves and then [`resolve`](Self::resolve) what they
    /// found.
    #[must_use]
    pub fn started(&self) -> Started {
        Started(self.inner.flights.now())
    }

    /// How many keys are being loaded or waited for.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.inner.flights.under_way()
    }

    /// Waits for what is under way in the background, 5 s at the most. Call it before the program ends; the
    /// cache can still be used.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`](crate::ErrorKind::Deferred) if invalidations could not be sent by then.
    pub async fn shutdown(&self) -> Result<()> {
        self.inner.keyspace.shutdown().await
    }
}

impl<K, V> Coalesce<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The value, or `None` if the origin has none.
    ///
    /// # Errors
    /// [`ErrorKind::Loader`](crate::ErrorKind::Loader) and
    /// [`ErrorKind::LoaderTimeout`](crate::ErrorKind::LoaderTimeout), if there is no stale entry to serve; every caller
    /// of one load gets them. [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) where callers over the limits
    /// are refused. A failing store is no error.
    ///
    /// # Cancellation
    /// May be dropped at any await. A load that others wait for goes on in the background; another one is dropped and
    /// its lease given back.
    pub async fn get(&self, key: &K) -> Result<Option<V>> {
        let started = self.started();
        // As `fetch`, without the detour over what it tells besides.
        let not_ready = match self.inner.keyspace.fresh_ready(key) {
            Ok(value) => return Ok(value),
            Err(not_ready) => not_ready,
        };
        match self.inner.keyspace.lookup_waiting(not_ready).await {
            Lookup::Hit(entry) if !entry.is_stale() => Ok(entry.value),
            found => Ok(Box::pin(self.resolve(key, started, found)).await?.value),
        }
    }

    /// The value, who gave it, how old it is, and why the store was of no use if it wasn't.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn fetch(&self, key: &K) -> Result<Fetched<V>> {
        let started = self.started();
        match self.inner.keyspace.lookup(key).await {
            Lookup::Hit(entry) if !entry.is_stale() => Ok(entry.into()),
            found => Box::pin(self.resolve(key, started, found)).await,
        }
    }

    /// Answers from what was found, alone or together with others. Box it where hits pass by, since it is large.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn resolve(
        &self,
        key: &K,
        started: Started,
        mut found: Lookup<V>,
    ) -> Result<Fetched<V>> {
        let end = Instant::now() + self.inner.wait_timeout;
        loop {
            let id = match self.id(key, &found) {
                Ok(Some(id)) => id,
                Ok(None) => break,
                // A key that can't be encoded is nobody else's either.
                Err(error) => return self.load_alone(key, Some(error.into())).await,
            };
            if let Some(follower) = self.apart(&id, &found, started.0)
                && let Some(answer) = self.follow(&follower).await
            {
                return answer;
            }
            match self.inner.flights.enter(&id) {
                Entered::Lead(leader) => {
                    if let Some(answer) = self.lead(key, found, end, leader).await {
                        return answer;
                    }
                }
                Entered::Follow(follower) => {
                    if let Some(answer) = self.follow(&follower).await {
                        return answer;
                    }
                }
                Entered::Full => return self.overloaded(key).await,
            }
            if Instant::now() >= end {
                return self.wait_no_more(key).await;
            }
            found = self.inner.keyspace.lookup_again(key).await;
        }
        let Lookup::Hit(entry) = found else {
            return self.load_alone(key, None).await;
        };
        // What was not there at the first look is somebody else's work.
        self.inner.keyspace.count_coalesced();
        Ok(coalesced(entry.into()))
    }

    /// A load without the store, if that is what it takes, and one began since this read did.
    pub(crate) fn apart(
        &self,
        id: &Id,
        found: &Lookup<V>,
        started: u64,
    ) -> Option<Follower<Landing<V>>> {
        match (id, found) {
            (Id::Open(address), Lookup::Failed(_) | Lookup::Busy(_)) => {
                let apart = Id::Apart(address.clone());
                self.inner.flights.join_begun_after(&apart, started)
            }
            _ => None,
        }
    }

    /// What to join for what was found; `None` for an answer.
    pub(crate) fn id(&self, key: &K, found: &Lookup<V>) -> larder_store::Result<Option<Id>> {
        let lease = match found {
            Lookup::Hit(entry) if !entry.is_stale() => return Ok(None),
            Lookup::Hit(entry) => return Ok(Some(Id::Stale(entry.stamp()))),
            Lookup::Busy(busy) => busy.lease(),
            _ => None,
        };
        Ok(Some(match lease {
            Some(lease) => Id::Lease(lease),
            None => Id::Open(self.inner.keyspace.address(key)?),
        }))
    }

    /// Does the work of a flight for everybody. `None` if there is nothing to answer with yet.
    async fn lead(
        &self,
        key: &K,
        found: Lookup<V>,
        end: Instant,
        mut leader: Lead<V>,
    ) -> Option<Result<Fetched<V>>> {
        let (this, key, flight) = (self.clone(), key.clone(), leader.flight());
        let work = async move {
            let landing = this.fly(&key, found, end, &mut leader).await;
            leader.land(landing.clone());
            match landing {
                Landing::Loaded(answer) => Some(answer),
                Landing::Found(fetched) => Some(Ok(fetched)),
                Landing::Again => None,
            }
        };
        self.hand_over(work, smallvec![flight]).await
    }

    /// The work of these flights, which goes on in the background if this caller goes away while others wait for it.
    pub(crate) fn hand_over<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        flights: SmallVec<[Arc<Flight<Landing<V>>>; 1]>,
    ) -> impl Future<Output = T> {
        let spawn = |task| {
            self.inner.keyspace.spawn(task);
        };
        Handover::new(work, flights, spawn)
    }

    /// The answer of a flight; `None` if it has none for this follower.
    pub(crate) async fn follow(
        &self,
        follower: &Follower<Landing<V>>,
    ) -> Option<Result<Fetched<V>>> {
        let answer = match follower.outcome().await {
            Ok(Landing::Loaded(answer)) => answer.map(coalesced),
            Ok(Landing::Found(fetched)) if follower.is_early() => Ok(coalesced(fetched)),
            Ok(_) | Err(Lost::Abandoned | Lost::Disowned) => return None,
            Err(Lost::Panicked) => Err(Error::new(
                ErrorKind::Loader,
                "the loader panicked in the caller that loaded for all",
            )),
        };
        self.inner.keyspace.count_coalesced();
        Some(answer)
    }

    /// One more try, past the store and whoever is at it there, and shared in this process only.
    async fn wait_no_more(&self, key: &K) -> Result<Fetched<V>> {
        let why = || {
            Error::new(
                ErrorKind::WaitTimeout,
                "another caller's load was not over in time; this one was made without the store",
            )
        };
        if let Ok(address) = self.inner.keyspace.address(key) {
            let answer = match self.inner.flights.enter(&Id::Open(address)) {
                Entered::Lead(leader) => {
                    let now = Instant::now();
                    self.lead(key, Lookup::Failed(why()), now, leader).await
                }
                Entered::Follow(follower) => self.follow(&follower).await,
                Entered::Full => return self.overloaded(key).await,
            };
            if let Some(answer) = answer {
                return answer;
            }
        }
        self.load_alone(key, Some(why())).await
    }

    pub(crate) async fn overloaded(&self, key: &K) -> Result<Fetched<V>> {
        match self.inner.overload {
            Overload::Bypass => self.load_alone(key, None).await,
            Overload::Refuse => Err(Error::new(
                ErrorKind::Overloaded,
                "too many loads are under way, or too many callers wait for this one: try again later",
            )),
        }
    }

    pub(crate) async fn load_alone(&self, key: &K, why: Option<Error>) -> Result<Fetched<V>> {
        let loaded = self.inner.origin.load(&self.inner.keyspace, key).await?;
        Ok(Fetched::loaded(loaded, why))
    }
}

/// The same answer, as one that another caller loaded.
pub(crate) fn coalesced<V>(mut fetched: Fetched<V>) -> Fetched<V> {
    fetched.source = Source::Coalesced;
    fetched
}

larder_cache::read_pattern!(Coalesce, |cache| cache.inner.keyspace, V: Clone + Send + Sync + 'static);

impl<K, V> Clone for Coalesce<K, V> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K, V> fmt::Debug for Coalesce<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce")
            .field("keyspace", &self.inner.keyspace)
            .field("flights", &self.inner.flights)
            .finish_non_exhaustive()
    }
}
