//! Batches.

use futures_util::future::{join, join_all};
use larder_cache::{
    CacheKey, Claim, Entry, Error, Fetched, Lease, Leased, Loaded, Lookup, Result, Vacancy,
};

use crate::{
    Coalesce,
    coalesce::{Id, Landing, Lead, Started},
    flights::{Entered, Follower},
};

/// A key of a batch that this batch loads, for itself and whoever joins.
struct Led<K, V> {
    flight: Flight<K, V>,
    begins: Begins<V>,
}

/// How the load of a key begins.
enum Begins<V> {
    /// With a request for its lease.
    Lease(Vacancy),
    /// With a request for the claim on this stale entry.
    Claim(Entry<V>),
    /// Apart, without the store, for this reason.
    Apart(Option<Error>),
}

/// A key of a batch that is answered by itself, since someone else loads it.
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
                found => match self.join(at, &keys[at], started, found) {
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

    /// Enters the flight for a key, as the one who leads it or not.
    fn join(
        &self,
        at: usize,
        key: &K,
        started: Started,
        found: Lookup<V>,
    ) -> Result<Led<K, V>, Other<V>> {
        let id = match self.id(key, &found) {
            Ok(Some(id @ (Id::Open(_) | Id::Stale(_)))) => id,
            _ => return Err(Other::Single(found)),
        };
        if let Some(follower) = self.apart(&id, &found, started.0) {
            return Err(Other::Follow(follower));
        }
        match self.inner.flights.enter(&id) {
            Entered::Lead(leader) => Ok(Led {
                flight: Flight {
                    at,
                    key: key.clone(),
                    leader,
                },
                begins: match found {
                    Lookup::Hit(entry) => Begins::Claim(entry),
                    Lookup::Miss(vacancy) => Begins::Lease(vacancy),
                    Lookup::Busy(_) => Begins::Apart(None),
                    Lookup::Failed(error) => Begins::Apart(Some(error)),
                },
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
        // If they are dropped, those who follow go first, so that a batch doesn't take itself for somebody who waits.
        let (others, own) = join(join_all(others), self.lead_all(led)).await;
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
        let flights = led.iter().map(|lead| lead.flight.leader.flight()).collect();
        let this = self.clone();
        let work = async move { this.load_all(led).await };
        self.hand_over(work, flights).await
    }

    async fn load_all(&self, led: Vec<Led<K, V>>) -> Vec<Answer<V>> {
        let mut batch = Batch::default();
        let (mut vacancies, mut flights, mut stale) = (Vec::new(), Vec::new(), Vec::new());
        for lead in led {
            let flight = lead.flight;
            match lead.begins {
                Begins::Lease(vacancy) => {
                    flight.leader.seal();
                    vacancies.push(vacancy);
                    flights.push(flight);
                }
                Begins::Claim(entry) => stale.push((flight, entry)),
                Begins::Apart(seen) => batch.load(flight, Permission::None, seen),
            }
        }
        self.ask_for_leases(&mut batch, vacancies, flights).await;
        self.ask_for_claims(&mut batch, stale).await;
        // In one order in all batches, so that no two of them wait for each other.
        batch
            .loads
            .sort_by_cached_key(|load| self.inner.keyspace.address(&load.flight.key).ok());
        for load in &mut batch.loads {
            match &load.permission {
                Permission::Lease(lease) => load.flight.leader.rename(Id::Lease(lease.token())),
                // Known by its entry, which all who join have seen.
                Permission::Claim(..) => {}
                Permission::None => {
                    let flight = &mut load.flight;
                    self.begin_apart(&flight.key, &mut flight.leader).await;
                }
            }
        }
        self.load_batch(batch).await
    }

    async fn ask_for_leases(
        &self,
        batch: &mut Batch<K, V>,
        vacancies: Vec<Vacancy>,
        flights: Vec<Flight<K, V>>,
    ) {
        if vacancies.is_empty() {
            return;
        }
        let seen: Vec<_> = vacancies.iter().map(|it| it.error().cloned()).collect();
        match self.inner.keyspace.lease_many(vacancies).await {
            Ok(leases) => {
                let leased = flights.into_iter().zip(leases.into_iter().zip(seen));
                for (flight, (leased, seen)) in leased {
                    batch.leased(flight, leased, seen);
                }
            }
            Err(error) => {
                for flight in flights {
                    batch.load(flight, Permission::None, Some(error.clone()));
                }
            }
        }
    }

    /// What someone else has the claim on is loaded all the same, and not stored.
    async fn ask_for_claims(&self, batch: &mut Batch<K, V>, stale: Vec<(Flight<K, V>, Entry<V>)>) {
        let keyspace = &self.inner.keyspace;
        let claims = stale
            .iter()
            .map(|(flight, entry)| keyspace.claim(&flight.key, entry.stamp()));
        let claims = join_all(claims).await;
        for ((flight, entry), claim) in stale.into_iter().zip(claims) {
            let (claim, seen) = match claim {
                Ok(claim) => (claim, None),
                Err(error) => (None, Some(error)),
            };
            batch.load(flight, Permission::Claim(claim, entry), seen);
        }
    }

    async fn load_batch(&self, batch: Batch<K, V>) -> Vec<Answer<V>> {
        let Batch { loads, mut answers } = batch;
        if loads.is_empty() {
            return answers;
        }
        let keys: Vec<K> = loads.iter().map(|load| load.flight.key.clone()).collect();
        match self
            .inner
            .origin
            .load_many(&self.inner.keyspace, &keys)
            .await
        {
            Ok(loaded) => answers.extend(self.store_all(loads, loaded).await),
            Err(error) => {
                // Otherwise the batch as a whole is an error.
                let served = loads
                    .iter()
                    .all(|load| matches!(load.permission, Permission::Claim(..)));
                for (flight, permission, _) in loads.into_iter().map(Load::parts) {
                    let answer = match permission {
                        Permission::Claim(_, entry) => {
                            if served {
                                self.inner.keyspace.count_stale_served();
                            }
                            Ok(Fetched::stale(entry, Some(error.clone())))
                        }
                        Permission::Lease(_) | Permission::None => Err(error.clone()),
                    };
                    answers.push(flight.land(answer));
                }
            }
        }
        answers
    }

    async fn store_all(&self, loads: Vec<Load<K, V>>, loaded: Vec<Loaded<V>>) -> Vec<Answer<V>> {
        let (mut fills, mut refreshes) = (Vec::new(), Vec::new());
        let mut landing = Vec::with_capacity(loads.len());
        for (load, loaded) in loads.into_iter().zip(&loaded) {
            let (flight, permission, seen) = load.parts();
            let storing = match permission {
                Permission::Lease(lease) => {
                    fills.push((lease, loaded));
                    Storing::Filling
                }
                Permission::Claim(Some(claim), _) => {
                    refreshes.push(claim.refresh(loaded));
                    Storing::Refreshing
                }
                Permission::Claim(None, _) | Permission::None => Storing::Not,
            };
            landing.push((flight, seen, storing));
        }
        let (filled, refreshed) =
            join(self.inner.keyspace.fill_many(fills), join_all(refreshes)).await;
        let (mut filled, failed) = match filled {
            Ok(filled) => (filled.into_iter(), None),
            Err(error) => (Vec::new().into_iter(), Some(error)),
        };
        let mut refreshed = refreshed.into_iter();
        let land = |((flight, seen, storing), loaded): ((Flight<K, V>, _, _), Loaded<V>)| {
            let stored = match storing {
                Storing::Filling => filled.next().or_else(|| failed.clone().map(Err)),
                Storing::Refreshing => refreshed.next(),
                Storing::Not => None,
            };
            let fetched = match stored {
                Some(stored) => Fetched::filled(loaded, stored, seen),
                None => Fetched::loaded(loaded, seen),
            };
            flight.land(Ok(fetched))
        };
        landing.into_iter().zip(loaded).map(land).collect()
    }
}

/// How a loaded value was asked to be stored.
enum Storing {
    Filling,
    Refreshing,
    Not,
}

/// A batch under way: what must be loaded, and what is known.
struct Batch<K, V> {
    loads: Vec<Load<K, V>>,
    answers: Vec<Answer<V>>,
}

/// A key to load, for all who joined.
struct Load<K, V> {
    flight: Flight<K, V>,
    permission: Permission<V>,
    /// Why the store was of no use.
    seen: Option<Error>,
}

/// What a loaded value may be stored with.
enum Permission<V> {
    Lease(Lease<V>),
    /// The claim, if it was granted, and the stale entry to answer with if the load fails.
    Claim(Option<Claim<V>>, Entry<V>),
    None,
}

/// A flight that this batch leads: the place of its key in the batch, the key, and the duty.
struct Flight<K, V> {
    at: usize,
    key: K,
    leader: Lead<V>,
}

impl<K, V> Load<K, V> {
    fn parts(self) -> (Flight<K, V>, Permission<V>, Option<Error>) {
        (self.flight, self.permission, self.seen)
    }
}

impl<K, V: Clone> Flight<K, V> {
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
    fn leased(&mut self, flight: Flight<K, V>, leased: Result<Leased<V>>, seen: Option<Error>) {
        match leased {
            Ok(Leased::Granted(lease)) => self.load(flight, Permission::Lease(lease), seen),
            Ok(Leased::Refused(Lookup::Hit(entry))) if !entry.is_stale() => {
                let fetched = Fetched::from(entry);
                flight.leader.land(Landing::Found(fetched.clone()));
                self.answers.push((flight.at, Some(Ok(fetched))));
            }
            Ok(Leased::Refused(Lookup::Busy(busy))) if busy.lease().is_none() => {
                self.load(flight, Permission::None, seen);
            }
            Ok(Leased::Refused(Lookup::Failed(error))) | Err(error) => {
                self.load(flight, Permission::None, Some(error));
            }
            Ok(Leased::Refused(_)) => {
                flight.leader.land(Landing::Again);
                self.answers.push((flight.at, None));
            }
        }
    }

    fn load(&mut self, flight: Flight<K, V>, permission: Permission<V>, seen: Option<Error>) {
        self.loads.push(Load {
            flight,
            permission,
            seen,
        });
    }
}
