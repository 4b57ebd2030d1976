//! claim, refresh, unclaim: loading an entry again before others need it.

use std::{fmt, sync::Arc};

use larder_store::{CacheKey, Key, Step, StoreExt};

use super::{Filled, Keyspace, lease::GivenBack};
use crate::{
    Loaded, Result,
    protocol::{Claim as ClaimStep, Refresh, Unclaim},
    see_through::SeeThrough,
    token::Token,
};

/// The right to load an entry again, granted to one caller of all processes. Dropping it gives it back.
pub struct Claim<V> {
    space: Keyspace<(), V>,
    address: Key,
    stamp: Token,
    token: Token,
    given_back: GivenBack,
}

impl<K: CacheKey, V: 'static> Keyspace<K, V> {
    /// Claims the right to load this key's entry again, named by its [`stamp`](super::Entry::stamp); `None` if someone
    /// else has it, or the entry is another one by now. One round trip.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancellation
    /// A dropped request is seen through in the background and its claim given back.
    pub async fn claim(&self, key: &K, stamp: Token) -> Result<Option<Claim<V>>> {
        let address = self
            .address(key)
            .map_err(|error| self.core.store_failed(error))?;
        let step = ClaimStep {
            stamp,
            token: Token::fresh().map_err(|error| self.core.store_failed(error))?,
            lifetime: self.core.settings.lease,
        };
        let token = step.token;
        let unclaim = Unclaim { stamp, token }.update();
        let give_back = GivenBack::new(&self.core.outbox, &address, unclaim);
        let (store, at) = (Arc::clone(&self.core.store), address.clone());
        let request = async move { (store.apply(&at, &step).await, give_back) };
        let (granted, given_back) = SeeThrough::new(&self.core.tasks, request, drop).await;
        let granted = granted.map_err(|error| self.core.store_failed(error))?;
        let claim = Claim {
            space: self.of_keys(),
            address,
            stamp,
            token,
            given_back,
        };
        if granted {
            return Ok(Some(claim));
        }
        claim.used();
        Ok(None)
    }
}

impl<V: 'static> Claim<V> {
    /// Replaces the entry, if it and the claim are still there. One round trip. What isn't to be kept, such as that the
    /// row is gone where negative entries aren't stored, drops the entry.
    ///
    /// # Errors
    /// Those of the store and of the codec; the caller still has the value.
    ///
    /// # Cancellation
    /// A dropped request is seen through in the background.
    pub async fn refresh(self, loaded: &Loaded<V>) -> Result<Filled> {
        let space = self.space.clone();
        let Some(value) = space.encode(loaded, self.token)? else {
            // The row is gone, or isn't to be kept: neither is its entry.
            space.core.drop_records(vec![self.used()]).await?;
            return Ok(Filled::NotKept);
        };
        let soft_ttl = value.soft_ttl;
        let step = Refresh {
            stamp: self.stamp,
            token: self.token,
            value,
        };
        let unclaim = Unclaim {
            stamp: self.stamp,
            token: self.token,
        };
        let (store, address) = (Arc::clone(&space.core.store), self.used());
        let at = address.clone();
        let request = async move { store.apply(&at, &step).await };
        let reply = SeeThrough::new(&space.core.tasks, request, drop).await;
        if reply.is_err() {
            space.core.outbox.give_back(address, unclaim.update());
        }
        let filled = space.filled(reply, soft_ttl)?;
        if let Filled::Stored(_) = filled {
            space.core.counters.refreshed.increment();
        }
        Ok(filled)
    }

    /// The key, for a request that uses the claim up, or where there is none.
    fn used(mut self) -> Key {
        self.given_back.used();
        self.address
    }
}

impl<V> fmt::Debug for Claim<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
