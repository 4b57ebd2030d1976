//! Batches.

use futures_util::future::{join, join_all};
use larder_cache::{CacheKey, Error, Fetched, Lease, Leased, Loaded, Lookup, Result, Vacancy};

use crate::{
    Coalesce,
    coalesce::{Id, Landing, Lead, Started},
    flights::{Entered, Follower},
};

/// A key of a batch that this batch loads, for itself and whoever joins.
struct Led<K, V> {
    at: usize,
    key: K,
    /// What to ask for the lease with; without it the key is loaded apart, for this reason.
    vacancy: Result<Vacancy, Option<Error>>,
    leader: Lead<V>,
}

/// A key of a batch that is answered by itself: someone else loads it, or it is stale.
enum Other<V> {
    Follow(Follower<Landing<V>>),
    Single(Lookup<V>),
    Overloaded,
}

/// What the batch found out about one of its keys; nothing if it has to look again.
type Answer<V> = (usize, Option<Result<Fetched<V>>>);

impl<K, V> Coalesce<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The values of these keys, in their order. One round trip for the hits. What nobody loads yet is loaded with one
    /// [`load_many`](larder_cache::Loader::load_many), with one round trip for the leases and one to store; keys that
    /// others load, overlapping batches among them, are waited for. A key that is given twice is loaded once.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the batch as a whole.
    ///
    /// # Cancellation
    /// May be dropped at any await: if others wait for one of its keys, the batch goes on in the background.
    pub async fn get_many(&self, keys: &[K]) -> Result<Vec<Option<V>>> {
        let started = self.started();
        let found = self.inner.keyspace.lookup_many(keys).await;
        self.resolve_many(keys, started, found).await
    }

    /// Answers a batch from what was found.
    ///
    /// # Errors
    /// As [`get_many`](Self::get_many).
    pub async fn resolve_many(
        &self,
        keys: &[K],
        started: Started,
        found: Vec<Lookup<V>>,
    ) -> Result<Vec<Option<V>>> {
        let mut values: Vec<Option<V>> = keys.iter().map(|_| None).collect();
        let mut led = Vec::new();
        let mut others = Vec::new();
        for (at, found) in found.into_iter().enumerate() {
            match found {
                Lookup::Hit(entry) if !entry.is_stale() => values[at] = entry.value,
                found => match self.sort(at, &keys[at], started, found) {
                    Ok(lead) => led.push(lead),
                    Err(other) => others.push((at, other)),
                },
            }
        }
        if led.is_empty() && others.is_empty() {
            return Ok(values);
        }
        let answers = Box::pin(self.answer_all(keys, started, led, others)).await;
        for (at, answer) in answers {
            values[at] = answer?.value;
        }
        Ok(values)
    }

    fn sort(
        &self,
        at: usize,
        key: &K,
        started: Started,
        found: Lookup<V>,
    ) -> Result<Led<K, V>, Other<V>> {
        let address = match (&found, self.inner.keyspace.address(key)) {
            (Lookup::Busy(busy), _) if busy.lease().is_some() => None,
            (Lookup::Hit(_), _) => None,
            (_, address) => address.ok(),
        };
        let Some(address) = address else {
            return Err(Other::Single(found));
        };
        let id = Id::Open(address);
        if let Some(follower) = self.apart(&id, &found, started.0) {
            return Err(Other::Follow(follower));
        }
        match self.inner.flights.enter(&id) {
            Entered::Lead(leader) => Ok(Led {
                at,
                key: key.clone(),
                vacancy: match found {
                    Lookup::Miss(vacancy) => Ok(vacancy),
                    Lookup::Failed(error) => Err(Some(error)),
                    Lookup::Busy(_) | Lookup::Hit(_) => Err(None),
                },
                leader,
            }),
            Entered::Follow(follower) => Err(Other::Follow(follower)),
            Entered::Full => Err(Other::Overloaded),
        }
    }

    async fn answer_all(
        &self,
        keys: &[K],
        started: Started,
        led: Vec<Led<K, V>>,
        others: Vec<(usize, Other<V>)>,
    ) -> Vec<(usize, Result<Fetched<V>>)> {
        let others = others.into_iter().map(|(at, other)| async move {
            (at, self.answer_other(&keys[at], started, other).await)
        });
        let (own, others) = join(self.lead_all(led), join_all(others)).await;
        let again = own.into_iter().chain(others);
        let answers = again.map(|(at, answer)| async move {
            match answer {
                Some(answer) => (at, answer),
                None => (at, self.again(&keys[at], started).await),
            }
        });
        join_all(answers).await
    }

    async fn answer_other(
        &self,
        key: &K,
        started: Started,
        other: Other<V>,
    ) -> Option<Result<Fetched<V>>> {
        match other {
            Other::Follow(follower) => self.follow(&follower).await,
            Other::Single(found) => Some(Box::pin(self.resolve(key, started, found)).await),
            Other::Overloaded => Some(self.overloaded(key).await),
        }
    }

    async fn again(&self, key: &K, started: Started) -> Result<Fetched<V>> {
        let found = self.inner.keyspace.lookup_again(key).await;
        Box::pin(self.resolve(key, started, found)).await
    }

    /// Does the work of all flights that this batch leads, as one.
    async fn lead_all(&self, led: Vec<Led<K, V>>) -> Vec<Answer<V>> {
        if led.is_empty() {
            return Vec::new();
        }
        let flights = led.iter().map(|lead| lead.leader.flight()).collect();
        let this = self.clone();
        let work = async move { this.load_all(led).await };
        self.hand_over(work, flights).await
    }

    async fn load_all(&self, led: Vec<Led<K, V>>) -> Vec<Answer<V>> {
        let mut batch = Batch::default();
        let (mut vacancies, mut flights) = (Vec::new(), Vec::new());
        for lead in led {
            match lead.vacancy {
                Ok(vacancy) => {
                    lead.leader.seal();
                    vacancies.push(vacancy);
                    flights.push((lead.at, lead.key, lead.leader));
                }
                Err(seen) => batch.load(lead.at, lead.key, lead.leader, None, seen),
            }
        }
        self.ask_for_leases(&mut batch, vacancies, flights).await;
        // In one order in all batches, so that no two of them wait for each other.
        batch
            .loads
            .sort_by_cached_key(|load| self.inner.keyspace.address(&load.key).ok());
        for load in &mut batch.loads {
            match &load.lease {
                Some(lease) => load.leader.rename(Id::Lease(lease.token())),
                None => self.begin_apart(&load.key, &mut load.leader).await,
            }
        }
        self.load_batch(batch).await
    }

    async fn ask_for_leases(
        &self,
        batch: &mut Batch<K, V>,
        vacancies: Vec<Vacancy>,
        flights: Vec<(usize, K, Lead<V>)>,
    ) {
        if vacancies.is_empty() {
            return;
        }
        let seen: Vec<_> = vacancies.iter().map(|it| it.error().cloned()).collect();
        match self.inner.keyspace.lease_many(vacancies).await {
            Ok(leases) => {
                let leased = flights.into_iter().zip(leases.into_iter().zip(seen));
                for ((at, key, leader), (leased, seen)) in leased {
                    batch.sort(at, key, leader, leased, seen);
                }
            }
            Err(error) => {
                for (at, key, leader) in flights {
                    batch.load(at, key, leader, None, Some(error.clone()));
                }
            }
        }
    }

    async fn load_batch(&self, batch: Batch<K, V>) -> Vec<Answer<V>> {
        let Batch { loads, mut answers } = batch;
        if loads.is_empty() {
            return answers;
        }
        let keys: Vec<K> = loads.iter().map(|load| load.key.clone()).collect();
        match self
            .inner
            .origin
            .load_many(&self.inner.keyspace, &keys)
            .await
        {
            Ok(loaded) => answers.extend(self.store_all(loads, loaded).await),
            Err(error) => {
                for load in loads {
                    answers.push(load.land(Err(error.clone())));
                }
            }
        }
        answers
    }

    async fn store_all(&self, loads: Vec<Load<K, V>>, loaded: Vec<Loaded<V>>) -> Vec<Answer<V>> {
        let mut fills = Vec::new();
        let mut landing = Vec::with_capacity(loads.len());
        for (mut load, loaded) in loads.into_iter().zip(&loaded) {
            let lease = load.lease.take();
            let filled = lease.is_some();
            fills.extend(lease.map(|lease| (lease, loaded)));
            landing.push((load, filled));
        }
        let filled = self.inner.keyspace.fill_many(fills).await;
        let (mut filled, failed) = match filled {
            Ok(filled) => (filled.into_iter(), None),
            Err(error) => (Vec::new().into_iter(), Some(error)),
        };
        let land = |((load, was_filled), loaded): ((Load<K, V>, bool), Loaded<V>)| {
            let seen = load.seen.clone().or_else(|| failed.clone());
            let fetched = match if was_filled { filled.next() } else { None } {
                Some(filled) => Fetched::filled(loaded, filled, seen),
                None => Fetched::loaded(loaded, seen),
            };
            load.land(Ok(fetched))
        };
        landing.into_iter().zip(loaded).map(land).collect()
    }
}

/// A batch under way: what must be loaded, and what is known.
struct Batch<K, V> {
    loads: Vec<Load<K, V>>,
    answers: Vec<Answer<V>>,
}

/// A key to load, for all who joined.
struct Load<K, V> {
    at: usize,
    key: K,
    leader: Lead<V>,
    lease: Option<Lease<V>>,
    /// Why the store was of no use.
    seen: Option<Error>,
}

impl<K, V: Clone> Load<K, V> {
    fn land(self, answer: Result<Fetched<V>>) -> Answer<V> {
        self.leader.land(Landing::Loaded(answer.clone()));
        (self.at, Some(answer))
    }
}

impl<K, V> Default for Batch<K, V> {
    fn default() -> Self {
        Self {
            loads: Vec::new(),
            answers: Vec::new(),
        }
    }
}

impl<K, V: Clone> Batch<K, V> {
    /// What the answer to the request for a lease means.
    fn sort(
        &mut self,
        at: usize,
        key: K,
        leader: Lead<V>,
        leased: Result<Leased<V>>,
        seen: Option<Error>,
    ) {
        match leased {
            Ok(Leased::Granted(lease)) => self.load(at, key, leader, Some(lease), seen),
            Ok(Leased::Refused(Lookup::Hit(entry))) if !entry.is_stale() => {
                let fetched = Fetched::from(entry);
                leader.land(Landing::Found(fetched.clone()));
                self.answers.push((at, Some(Ok(fetched))));
            }
            Ok(Leased::Refused(Lookup::Busy(busy))) if busy.lease().is_none() => {
                self.load(at, key, leader, None, seen);
            }
            Ok(Leased::Refused(Lookup::Failed(error))) | Err(error) => {
                self.load(at, key, leader, None, Some(error));
            }
            Ok(Leased::Refused(_)) => {
                leader.land(Landing::Again);
                self.answers.push((at, None));
            }
        }
    }

    fn load(
        &mut self,
        at: usize,
        key: K,
        leader: Lead<V>,
        lease: Option<Lease<V>>,
        seen: Option<Error>,
    ) {
        self.loads.push(Load {
            at,
            key,
            leader,
            lease,
            seen,
        });
    }
}
