//! lease, fill, abort: loading with permission.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use larder_store::{Key, Result as StoreResult, Step, StoreExt, Update};

use super::{Busy, Keyspace, Lookup, Vacancy};
use crate::{
    Loaded, Result,
    outbox::Outbox,
    protocol::{Abort, Fill, Lease as LeaseStep, Leased as LeasedReply},
    see_through::SeeThrough,
    token::Token,
};

/// The answer to [`Keyspace::lease`].
pub enum Leased<V> {
    /// Load, then fill.
    Granted(Lease<V>),
    /// Someone was there in the meantime; this is what they left.
    Refused(Lookup<V>),
}

impl<V> fmt::Debug for Leased<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted(lease) => f.debug_tuple("Granted").field(lease).finish(),
            Self::Refused(found) => f.debug_tuple("Refused").field(found).finish(),
        }
    }
}

/// What became of a value that was loaded under a lease or claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// It is in the store, and counts as fresh for this long.
    Stored(Duration),
    /// It was not stored: the lease or claim was gone, so it may be outdated already.
    Superseded,
    /// It was not stored, since its TTL is zero, or it is negative and those are not kept.
    NotKept,
}

/// The permission to load a key and store the result. Dropping it gives it back.
pub struct Lease<V> {
    space: Keyspace<(), V>,
    address: Key,
    token: Token,
    given_back: GivenBack,
}

/// Gives a lease or a claim back when dropped, unless it was used.
pub(super) struct GivenBack(Option<Box<(Arc<Outbox>, Key, Update)>>);

impl GivenBack {
    pub(super) fn new(outbox: &Arc<Outbox>, key: &Key, update: Update) -> Self {
        Self(Some(Box::new((Arc::clone(outbox), key.clone(), update))))
    }

    pub(super) fn used(&mut self) {
        self.0 = None;
    }
}

impl Drop for GivenBack {
    fn drop(&mut self) {
        if let Some(given) = self.0.take() {
            let (outbox, key, update) = *given;
            outbox.give_back(key, update);
        }
    }
}

impl<K, V: 'static> Keyspace<K, V> {
    /// Asks for the lease on a vacant key. One round trip.
    ///
    /// # Errors
    /// Those of the store. The caller then has no lease, even if the store applied the request.
    ///
    /// # Cancellation
    /// A dropped request is seen through in the background and its lease given back.
    pub async fn lease(&self, vacancy: Vacancy) -> Result<Leased<V>> {
        let address = vacancy.0.address.clone();
        let mut leased = self.lease_many(vec![vacancy]).await?;
        let lost = || Ok(Leased::Refused(Lookup::Busy(Busy::new(&address, None))));
        leased.pop().unwrap_or_else(lost)
    }

    /// Asks for the leases on several keys, in their order. One round trip.
    ///
    /// # Errors
    /// The outer error is that of the store, the inner ones are those of single keys.
    pub async fn lease_many(&self, vacancies: Vec<Vacancy>) -> Result<Vec<Result<Leased<V>>>> {
        let mut steps = Vec::with_capacity(vacancies.len());
        for Vacancy(vacant) in vacancies {
            let step = LeaseStep {
                token: Token::fresh().map_err(|error| self.core.store_failed(error))?,
                lifetime: self.core.settings.lease,
                replace: vacant.replace,
            };
            steps.push((vacant.address, step));
        }
        let requested = steps.iter().map(|(key, step)| (key.clone(), step.token));
        let requested: Vec<_> = requested.collect();
        let replies = self.request_leases(steps).await.map_err(|error| {
            for (key, token) in &requested {
                self.give_back(key, *token);
            }
            self.core.store_failed(error)
        })?;
        let leased = |((address, token), reply)| self.leased(address, token, reply);
        Ok(requested.into_iter().zip(replies).map(leased).collect())
    }

    async fn request_leases(
        &self,
        steps: Vec<(Key, LeaseStep)>,
    ) -> StoreResult<Vec<StoreResult<LeasedReply>>> {
        let store = Arc::clone(&self.core.store);
        let outbox = Arc::clone(&self.core.outbox);
        let abort = |token| Abort { token }.update();
        let asked: Vec<_> = steps
            .iter()
            .map(|(key, step)| (key.clone(), abort(step.token)))
            .collect();
        let request = async move { store.apply_many(&steps).await };
        let give_back = move |_: Option<_>| {
            for (key, abort) in asked {
                outbox.give_back(key, abort);
            }
        };
        SeeThrough::new(&self.core.tasks, request, give_back).await
    }

    fn leased(
        &self,
        address: Key,
        token: Token,
        reply: StoreResult<LeasedReply>,
    ) -> Result<Leased<V>> {
        let reply = reply.map_err(|error| {
            self.give_back(&address, token);
            self.core.store_failed(error)
        });
        match reply? {
            LeasedReply::Granted => Ok(Leased::Granted(Lease::new(self.of_keys(), address, token))),
            LeasedReply::Refused(record) => {
                Ok(Leased::Refused(self.found_instead(&address, &record)))
            }
        }
    }

    /// Gives back a lease that was granted perhaps, and isn't relied on.
    fn give_back(&self, address: &Key, token: Token) {
        let abort = Abort { token }.update();
        self.core.outbox.give_back(address.clone(), abort);
    }

    /// What another caller left, as a reader sees it. A record that is no better than the one to be replaced
    /// counts as busy, so that nobody asks twice.
    fn found_instead(&self, address: &Key, record: &Bytes) -> Lookup<V> {
        match self.read(address, Some(record)) {
            Lookup::Miss(_) => Lookup::Busy(Busy::new(address, None)),
            found => found,
        }
    }

    /// Stores several loaded values, each under its lease. One round trip.
    ///
    /// # Errors
    /// The outer error is that of the store, the inner ones are those of single values. No value is stored
    /// wrongly after any of them, and no lease outlives its lifetime.
    pub async fn fill_many(
        &self,
        loaded: Vec<(Lease<V>, &Loaded<V>)>,
    ) -> Result<Vec<Result<Filled>>> {
        let mut fills = Vec::with_capacity(loaded.len());
        let mut outcomes = Vec::with_capacity(loaded.len());
        for (lease, loaded) in loaded {
            outcomes.push(match self.encode(loaded, lease.token) {
                Ok(Some(value)) => {
                    let token = lease.token;
                    fills.push((lease.used(), Fill { token, value }));
                    None
                }
                Ok(None) => Some(Ok(Filled::NotKept)),
                Err(error) => Some(Err(error)),
            });
        }
        let mut replies = self.request_fills(fills).await?.into_iter();
        let mut next = || replies.next().unwrap_or(Ok(Filled::Superseded));
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(&mut next))
            .collect())
    }

    async fn request_fills(&self, fills: Vec<(Key, Fill)>) -> Result<Vec<Result<Filled>>> {
        if fills.is_empty() {
            return Ok(Vec::new());
        }
        let sent: Vec<_> = fills
            .iter()
            .map(|(key, fill)| (key.clone(), fill.token, fill.value.soft_ttl))
            .collect();
        let store = Arc::clone(&self.core.store);
        let request = async move { store.apply_many(&fills).await };
        let replies = SeeThrough::new(&self.core.tasks, request, drop).await;
        let replies = match replies {
            Ok(replies) => replies,
            Err(error) => sent.iter().map(|_| Err(error.clone())).collect(),
        };
        let filled = |(reply, (key, token, soft_ttl)): (StoreResult<bool>, _)| {
            if reply.is_err() {
                self.give_back(&key, token);
            }
            self.filled(reply, soft_ttl)
        };
        Ok(replies.into_iter().zip(sent).map(filled).collect())
    }

    pub(super) fn filled(&self, reply: StoreResult<bool>, soft_ttl: Duration) -> Result<Filled> {
        if reply.map_err(|error| self.core.store_failed(error))? {
            return Ok(Filled::Stored(soft_ttl));
        }
        self.core.counters.superseded.increment();
        Ok(Filled::Superseded)
    }
}

impl<V: 'static> Lease<V> {
    fn new(space: Keyspace<(), V>, address: Key, token: Token) -> Self {
        let abort = Abort { token }.update();
        let given_back = GivenBack::new(&space.core.outbox, &address, abort);
        Self {
            space,
            address,
            token,
            given_back,
        }
    }

    /// What other callers see of it.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Stores the value that was loaded under this lease. One round trip.
    ///
    /// # Errors
    /// Those of the store and of the codec; the value is then not stored and the caller still has it.
    ///
    /// # Cancellation
    /// A dropped request is seen through in the background.
    pub async fn fill(self, loaded: &Loaded<V>) -> Result<Filled> {
        let space = self.space.clone();
        let mut filled = space.fill_many(vec![(self, loaded)]).await?;
        filled.pop().unwrap_or(Ok(Filled::Superseded))
    }

    /// The key, for a request that uses the lease up.
    fn used(mut self) -> Key {
        self.given_back.used();
        self.address
    }
}

impl<V> fmt::Debug for Lease<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
