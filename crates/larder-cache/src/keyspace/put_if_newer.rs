//! put_if_newer: what the database has changed, for databases that number their rows' versions.

use std::{sync::Arc, time::Duration};

use larder_store::{CacheKey, ErrorKind as StoreErrorKind, Key, Result as StoreResult, StoreExt};

use super::{CacheState, Core, Keyspace};
use crate::{
    Error, ErrorKind,
    protocol::{Put, PutIfNewer},
    see_through::SeeThrough,
    token::Token,
};

impl<K: CacheKey, V: 'static> Keyspace<K, V> {
    /// Tells the cache of a change after its commit, as [`invalidate`](Self::invalidate) does, with the row as it is since:
    /// an entry of an older version is replaced, and one of this version or a newer one is kept. What can't be compared is
    /// dropped: an entry without a version, one that is being loaded or written. Where nothing is cached, nothing is stored.
    /// `None` is for a row that was deleted, with its last version or a later one. One round trip.
    ///
    /// Versions are those of the database: each change of a row gives it a larger one. Entries have them where the keyspace was
    /// built with [`row_version`](crate::KeyspaceBuilder::row_version), or were put. Where that tells another version of this
    /// value than `version`, what is there is dropped, and the answer is [`CacheState::NotStored`]: the two must be one
    /// numbering. What is put lives for the keyspace's TTL, whatever the loader's own would be.
    ///
    /// # Cancellation
    /// A dropped request is seen through in the background.
    pub async fn put_if_newer(&self, key: &K, version: u64, value: Option<&V>) -> CacheState {
        let Ok(address) = self.address(key) else {
            // A key that can't be encoded was never cached.
            return CacheState::Kept;
        };
        if self.row_version(value).is_some_and(|told| told != version) {
            // Nothing is known to be newer by this number.
            return match self.core.drop_records(vec![address]).await {
                Ok(()) => CacheState::NotStored(another_version()),
                Err(error) => CacheState::not_told(error),
            };
        }
        let token = match Token::fresh() {
            Ok(token) => token,
            Err(error) => return self.core.put_state(&address, None, Err(error)),
        };
        let encoded = self.encode_value(value, Some(version), None, Duration::ZERO, token);
        let (value, unstored) = match encoded {
            Ok(value) => (value, None),
            Err(error) => (None, Some(error)),
        };
        let put = PutIfNewer {
            token,
            version,
            value,
        };
        match (self.core.put(address, put).await, unstored) {
            (CacheState::Invalidated, Some(error)) => CacheState::NotStored(error),
            (state, _) => state,
        }
    }
}

fn another_version() -> Error {
    Error::new(
        ErrorKind::Config,
        "the version that was given is not what row_version tells of this value: use one numbering for both",
    )
}

impl Core {
    async fn put(self: &Arc<Self>, address: Key, put: PutIfNewer) -> CacheState {
        let (core, outbox, key) = (Arc::clone(self), Arc::clone(&self.outbox), address.clone());
        let lost = move |outcome: Option<_>| {
            if outcome.is_none() {
                outbox.invalidate(&key);
            }
        };
        let request = async move { core.send_put(&address, put).await };
        SeeThrough::new(&self.tasks, request, lost).await
    }

    async fn send_put(&self, address: &Key, mut put: PutIfNewer) -> CacheState {
        let stored = put.value.as_ref().map(|value| value.soft_ttl);
        let reply = self.store.apply(address, &put).await;
        match reply {
            Err(error)
                if error.kind() == StoreErrorKind::ValueTooLarge && put.value.take().is_some() =>
            {
                // The store takes less than the keyspace allows: what is older goes all the same.
                let again = self.store.apply(address, &put).await;
                match self.put_state(address, None, again) {
                    CacheState::Invalidated => CacheState::NotStored(error.into()),
                    state => state,
                }
            }
            reply => self.put_state(address, stored, reply),
        }
    }

    fn put_state(
        &self,
        address: &Key,
        stored: Option<Duration>,
        reply: StoreResult<Put>,
    ) -> CacheState {
        match reply {
            Ok(Put::Stored) => self.stored(stored),
            Ok(Put::Dropped) => CacheState::Invalidated,
            Ok(Put::Kept) => CacheState::Kept,
            Err(error) => CacheState::not_told(self.put_off(address, error)),
        }
    }
}

impl CacheState {
    /// The store could not be told, as this error of putting it off says.
    pub(super) fn not_told(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Deferred => Self::Deferred(error),
            _ => Self::Failed(error),
        }
    }
}
