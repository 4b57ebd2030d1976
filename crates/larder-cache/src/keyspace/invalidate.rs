//! invalidate: dropping what the database has outdated.

use std::sync::Arc;

use larder_store::{CacheKey, Key, Step, Update};

use super::{Core, Keyspace};
use crate::{
    Error, ErrorKind, Result, protocol::Invalidate, see_through::SeeThrough, token::Token,
};

impl<K: CacheKey, V> Keyspace<K, V> {
    /// Drops what is cached for this key. Call it after the commit: no read that starts after `Ok` sees what
    /// was there before, in whatever process. One round trip.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`] if the store can't be told now; it is repeated in the background until it is.
    /// [`ErrorKind::Store`] if that would not help, or too many invalidations wait already.
    ///
    /// # Cancellation
    /// A dropped request is seen through in the background.
    pub async fn invalidate(&self, key: &K) -> Result<()> {
        self.invalidate_many(std::slice::from_ref(key)).await
    }

    /// [`invalidate`](Self::invalidate) for several keys. One round trip.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`] if the store could not be told of some. A key that can't be encoded was
    /// never cached and counts as dropped.
    pub async fn invalidate_many(&self, keys: &[K]) -> Result<()> {
        let addresses = keys.iter().filter_map(|key| self.address(key).ok());
        self.core.drop_records(addresses.collect()).await
    }
}

impl<K, V> Keyspace<K, V> {
    /// Drops everything that is cached under this keyspace's name and version: no read that starts after `Ok` sees
    /// what was there before, in whatever process. Writers and loads under way are kept from storing what may be older.
    ///
    /// Cost: it looks at every key of the store, some 500 a round trip, and sends one invalidation for each of its own,
    /// a page at a time. Where the type changes shape, a higher [`version`](crate::KeyspaceBuilder::version) does it
    /// at once.
    ///
    /// # Errors
    /// Those of the store: then some of it may be left; call it again. [`ErrorKind::Deferred`] if all keys were found and
    /// the store could not be told of some.
    ///
    /// # Cancellation
    /// Dropping the future stops it half-way.
    pub async fn invalidate_all(&self) -> Result<()> {
        let core = &self.core;
        let mut cursor = None;
        let mut outcome = Ok(());
        loop {
            let page = core.store.scan(core.namespace.prefix(), cursor).await;
            let page = page.map_err(|error| core.store_failed(error))?;
            outcome = worse(outcome, core.drop_records(page.keys).await);
            cursor = page.next;
            if cursor.is_none() {
                return outcome;
            }
        }
    }
}

impl Core {
    pub(super) async fn drop_records(self: &Arc<Self>, addresses: Vec<Key>) -> Result<()> {
        if addresses.is_empty() {
            return Ok(());
        }
        let update = |key: &Key| (key.clone(), Invalidate.update());
        let updates: Vec<(Key, Update)> = addresses.iter().map(update).collect();
        let store = Arc::clone(&self.store);
        let core = Arc::clone(self);
        let outbox = Arc::clone(&self.outbox);
        let keys = addresses.clone();
        let lost = move |outcome: Option<_>| {
            if outcome.is_none() {
                for key in &keys {
                    outbox.invalidate(key);
                }
            }
        };
        let request = async move { core.settle(&addresses, store.update_many(&updates).await) };
        SeeThrough::new(&self.tasks, request, lost).await
    }

    /// Puts off what the store could not be told.
    fn settle(
        &self,
        addresses: &[Key],
        replies: larder_store::Result<Vec<larder_store::Result<larder_store::Reply>>>,
    ) -> Result<()> {
        let failures: Vec<_> = match replies {
            Ok(replies) => replies
                .into_iter()
                .zip(addresses)
                .filter_map(|(reply, key)| Some((key, reply.err()?)))
                .collect(),
            Err(error) => addresses.iter().map(|key| (key, error.clone())).collect(),
        };
        let mut outcome = Ok(());
        for (key, error) in failures {
            outcome = worse(outcome, Err(self.put_off(key, error)));
        }
        outcome
    }

    /// Repeats an invalidation in the background, if that can help and there is room.
    pub(super) fn put_off(&self, key: &Key, error: larder_store::Error) -> Error {
        self.put_off_by(error, || self.outbox.invalidate(key))
    }

    /// Repeats the end of a hold in the background, likewise.
    pub(super) fn put_off_end(&self, key: &Key, hold: Token, error: larder_store::Error) -> Error {
        self.put_off_by(error, || self.outbox.end(key, hold))
    }

    fn put_off_by(&self, error: larder_store::Error, put_off: impl FnOnce() -> bool) -> Error {
        let transient = error.is_transient();
        let error = self.store_failed(error);
        if !transient || !put_off() {
            return error;
        }
        Error::new(
            ErrorKind::Deferred,
            "the store can't be told to drop the entry; it is tried again in the background",
        )
        .with_source(error)
    }
}

/// Of two outcomes the one that asks more of the caller: an invalidation that is put off takes care of itself.
fn worse(one: Result<()>, other: Result<()>) -> Result<()> {
    match (&one, &other) {
        (Err(error), _) if error.kind() != ErrorKind::Deferred => one,
        (_, Err(_)) => other,
        _ => one,
    }
}
