//! claim, refresh: loading an entry again before others need it.

use std::{fmt, sync::Arc};

use larder_store::{Key, StoreExt};

use super::{Entry, Filled, Keyspace};
use crate::{
    Loaded, Result,
    protocol::{Claim as ClaimStep, Refresh},
    see_through::SeeThrough,
    token::Token,
};

/// The right to load an entry again, granted to one caller of all processes. It runs out by itself after the
/// lifetime of a lease.
pub struct Claim<V> {
    space: Keyspace<(), V>,
    address: Key,
    stamp: Token,
    token: Token,
}

impl<K, V: 'static> Keyspace<K, V> {
    /// Claims the right to load this entry again; `None` if someone else has it, or the entry is another one by
    /// now. One round trip.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn claim(&self, entry: &Entry<V>) -> Result<Option<Claim<V>>> {
        let step = ClaimStep {
            stamp: entry.stamp,
            token: Token::fresh().map_err(|error| self.core.store_failed(error))?,
            lifetime: self.core.settings.lease,
        };
        let granted = self.core.store.apply(&entry.address, &step).await;
        let granted = granted.map_err(|error| self.core.store_failed(error))?;
        Ok(granted.then(|| Claim {
            space: self.any_key(),
            address: entry.address.clone(),
            stamp: entry.stamp,
            token: step.token,
        }))
    }
}

impl<V: 'static> Claim<V> {
    /// Replaces the entry, if it and the claim are still there. One round trip.
    ///
    /// # Errors
    /// Those of the store and of the codec; the caller still has the value.
    pub async fn refresh(self, loaded: &Loaded<V>) -> Result<Filled> {
        let Some(value) = self.space.encode(loaded, self.token)? else {
            return Ok(Filled::NotKept);
        };
        let step = Refresh {
            stamp: self.stamp,
            token: self.token,
            value,
        };
        let core = &self.space.core;
        let (store, address) = (Arc::clone(&core.store), self.address);
        let request = async move { store.apply(&address, &step).await };
        let reply = SeeThrough::new(&core.tasks, request, drop).await;
        let filled = self.space.filled(reply)?;
        if filled == Filled::Stored {
            core.counters.refreshed.increment();
        }
        Ok(filled)
    }
}

impl<V> fmt::Debug for Claim<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
