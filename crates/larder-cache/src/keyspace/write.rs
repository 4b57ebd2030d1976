//! The bracket around a database write.

use std::{error::Error as StdError, sync::Arc};

use larder_store::{BoxError, CacheKey, Key, StoreExt};

use tokio::{runtime::Handle, time::sleep};

use super::{Core, Keyspace};
use crate::{
    Error, ErrorKind, Result,
    protocol::{Begin, End},
    see_through::SeeThrough,
    token::Token,
};

/// Why a database write failed, as far as the cache must know it.
///
/// Any error converts into [`Unknown`](Self::Unknown), so `?` works in the writer. Say
/// [`rolled_back`](Self::rolled_back) where the database is known to be unchanged: the key can then be cached
/// again at once.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The database is unchanged.
    RolledBack(BoxError),
    /// The write may have been committed, or may still be.
    Unknown(BoxError),
}

impl WriteError {
    /// The database is unchanged, because of this.
    pub fn rolled_back(error: impl Into<BoxError>) -> Self {
        Self::RolledBack(error.into())
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Unknown(Box::new(error))
    }
}

/// What a write returned, and what became of the cached entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct Written<T> {
    /// What the writer returned.
    pub value: T,
    /// What became of the cached entry.
    pub cache: CacheState,
}

/// What became of a cached entry when the database was written.
#[derive(Debug)]
#[non_exhaustive]
pub enum CacheState {
    /// It is dropped: no read that starts now sees what was there before.
    Invalidated,
    /// The store could not be told, for this reason. It is repeated in the background; until then readers may
    /// see the old value.
    Deferred(Error),
    /// The store refused, for this reason, and repeating would not help: the key holds another type, say, or
    /// the credentials lack a right.
    Failed(Error),
}

impl<K: CacheKey, V> Keyspace<K, V> {
    /// Runs a database write with this key held: from before it starts until after it is committed, nobody
    /// stores what they loaded. Two round trips.
    ///
    /// # Errors
    /// [`ErrorKind::Writer`] if the writer failed. If it is not known to be rolled back, the key stays
    /// uncached for the lifetime of a hold. [`ErrorKind::Refused`] if the keyspace requires the store, and it
    /// could not be reached; the writer was not run.
    ///
    /// # Cancellation
    /// If the future is dropped while the writer runs, the hold runs out by itself. Once the writer is done,
    /// the end is seen through in the background.
    pub async fn write<T, E: Into<WriteError>>(
        &self,
        key: &K,
        writer: impl Future<Output = Result<T, E>>,
    ) -> Result<Written<T>> {
        let address = self.address(key).ok();
        let hold = match &address {
            Some(address) => Some(self.core.begin(address).await?),
            // A key that can't be encoded was never cached.
            None => None,
        };
        let written = writer.await.map_err(Into::into);
        let cache = match (hold, &written) {
            (None, _) => CacheState::Invalidated,
            (Some(hold), Err(WriteError::Unknown(_))) => {
                // The commit may still come: a hold runs out by itself, and without one the drop invalidates.
                drop(hold);
                CacheState::Invalidated
            }
            (Some(hold), _) => hold.end().await,
        };
        match written {
            Ok(value) => Ok(Written { value, cache }),
            Err(WriteError::RolledBack(error) | WriteError::Unknown(error)) => {
                Err(Error::new(ErrorKind::Writer, "the writer failed").with_source(error))
            }
        }
    }
}

impl Core {
    async fn begin(self: &Arc<Self>, address: &Key) -> Result<Hold> {
        let token = Token::fresh().map_err(|error| self.store_failed(error))?;
        let mut hold = Hold {
            core: Arc::clone(self),
            address: address.clone(),
            token,
            held: true,
            running: false,
        };
        let (store, key) = (Arc::clone(&self.store), address.clone());
        let lifetime = self.settings.hold;
        let request = async move { store.apply(&key, &Begin { token, lifetime }).await };
        let begun = SeeThrough::new(&self.tasks, request, hold.unused()).await;
        if let Err(error) = begun {
            let error = self.store_failed(error);
            if self.settings.store_required {
                return Err(refused(error));
            }
            hold.held = false;
        }
        hold.running = true;
        Ok(hold)
    }

    async fn end(&self, address: &Key, token: Token) -> Result<()> {
        let ended = self.store.apply(address, &End { token, value: None }).await;
        ended
            .map(drop)
            .map_err(|error| self.put_off(address, error))
    }
}

fn refused(error: Error) -> Error {
    Error::new(
        ErrorKind::Refused,
        "the store is required for writes and can't be reached: nothing was written",
    )
    .with_source(error)
}

/// A key held by a writer.
struct Hold {
    core: Arc<Core>,
    address: Key,
    token: Token,
    /// Whether the store acknowledged it. If not, it is never relied on.
    held: bool,
    /// Whether the writer may be at it.
    running: bool,
}

impl Hold {
    /// Ends the hold after the writer is done.
    async fn end(mut self) -> CacheState {
        self.running = false;
        let (outbox, key) = (Arc::clone(&self.core.outbox), self.address.clone());
        let lost = move |outcome: Option<_>| {
            if outcome.is_none() {
                outbox.invalidate(&key);
            }
        };
        match SeeThrough::new(&self.core.tasks, self.ending(), lost).await {
            Ok(()) => CacheState::Invalidated,
            Err(error) if error.kind() == ErrorKind::Deferred => CacheState::Deferred(error),
            Err(error) => CacheState::Failed(error),
        }
    }

    fn ending(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let (core, address, token) = (Arc::clone(&self.core), self.address.clone(), self.token);
        async move { core.end(&address, token).await }
    }

    /// What happens to a hold that is granted after its caller went away: it ends. If the request was lost, there is
    /// nothing to end, or it runs out.
    fn unused(&self) -> impl FnOnce(Option<larder_store::Result<()>>) + Send + Unpin + use<> {
        let (tasks, ending) = (self.core.tasks.clone(), Box::pin(self.ending()));
        move |begun| {
            if begun.is_some() {
                tasks.spawn(ending);
            }
        }
    }
}

impl Drop for Hold {
    /// A writer that went away or failed may have committed, or may still do so. Its hold runs out by itself.
    /// Where there is none, only invalidations help: now, and when a hold would have run out.
    fn drop(&mut self) {
        if !self.running || self.held {
            return;
        }
        self.core.outbox.invalidate(&self.address);
        let (outbox, key) = (Arc::clone(&self.core.outbox), self.address.clone());
        let hold = self.core.settings.hold;
        if let Ok(runtime) = Handle::try_current() {
            let later = async move {
                sleep(hold).await;
                outbox.invalidate(&key);
            };
            self.core.tasks.spawn_on(later, &runtime);
        }
    }
}
