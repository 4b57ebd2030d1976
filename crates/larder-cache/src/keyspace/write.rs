//! The bracket around a database write.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use larder_store::{
    BoxError, CacheKey, ErrorKind as StoreErrorKind, Key, Result as StoreResult, Step, StoreExt,
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{Core, Keyspace};
use crate::{
    Error, ErrorKind, Result,
    protocol::{Begin, End, Ended, NewValue},
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

    /// The write may have been committed, or may still be. For errors that don't convert by themselves, such as
    /// `anyhow::Error`.
    pub fn unknown(error: impl Into<BoxError>) -> Self {
        Self::Unknown(error.into())
    }

    /// What the writer returned.
    #[must_use]
    pub fn into_source(self) -> BoxError {
        match self {
            Self::RolledBack(error) | Self::Unknown(error) => error,
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Unknown(Box::new(error))
    }
}

/// How many tasks of a keyspace there may be for one more to wait until a hold would have run out.
const MOST_SLEEPERS: usize = 512;

/// What a write returned, and what became of the cached entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct Written<T> {
    /// What the writer returned.
    pub value: T,
    /// What became of the cached entry.
    pub cache: CacheState,
}

/// What a write of several keys returned, and what became of their cached entries.
#[derive(Debug)]
#[non_exhaustive]
pub struct WrittenMany<T> {
    /// What the writer returned.
    pub value: T,
    /// What became of the cached entries, in the order of the keys.
    pub cache: Vec<CacheState>,
}

/// What became of a cached entry when the database was written. Unless it is [`Deferred`](Self::Deferred) or
/// [`Failed`](Self::Failed), no read that starts now sees what was there before; see [`is_consistent`](Self::is_consistent).
#[derive(Debug)]
#[must_use = "the store may not have been told of the write"]
#[non_exhaustive]
pub enum CacheState {
    /// The written value is in the store, and counts as fresh for this long.
    Stored(Duration),
    /// The entry is dropped: no read that starts now sees what was there before. So it is, too, where a value was to be
    /// stored and another write overlapped, be it one that is under way or one that failed, with an outcome that is unknown,
    /// no longer ago than a hold lives.
    Invalidated,
    /// What is there is as new as the value that was to be stored, or newer; or nothing is there.
    Kept,
    /// The entry is dropped, and the written value was not stored, for this reason: it can't be encoded, or is too
    /// large.
    NotStored(Error),
    /// The store could not be told, for this reason. It is repeated in the background; until then readers may
    /// see the old value.
    Deferred(Error),
    /// The store refused, for this reason, and repeating would not help: the key holds another type, say, or
    /// the credentials lack a right.
    Failed(Error),
}

impl CacheState {
    /// Whether no read that starts now sees what was there before the write.
    #[must_use]
    pub const fn is_consistent(&self) -> bool {
        !matches!(self, Self::Deferred(_) | Self::Failed(_))
    }

    /// Why the store could not be told, or the value not be stored.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        match self {
            Self::NotStored(error) | Self::Deferred(error) | Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<K: CacheKey, V> Keyspace<K, V> {
    /// Runs a database write with this key held: from before it starts until after it is committed, nobody
    /// stores what they loaded. Then the entry is dropped. Two round trips.
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
        let keys = std::slice::from_ref(key);
        let nothing = |_: &T, _, _, _| Ok(None);
        Ok(single(self.bracket(keys, writer, nothing).await?))
    }

    /// The one bracket. What is to be stored at a place of the batch, if anything, is made from what the writer returned,
    /// under the hold's token; the writer's time stands for what a load costs.
    async fn bracket<T, E: Into<WriteError>>(
        &self,
        keys: &[K],
        writer: impl Future<Output = Result<T, E>>,
        new_value: impl Fn(&T, usize, Duration, Token) -> Result<Option<NewValue>>,
    ) -> Result<WrittenMany<T>> {
        // A key that can't be encoded was never cached.
        let addresses = keys.iter().map(|key| self.address(key).ok());
        let holds = self.core.begin(addresses).await?;
        let started = Instant::now();
        let counted = CountWrite::new(&self.core);
        match writer.await.map_err(Into::into) {
            Ok(value) => {
                counted.succeeded();
                let cost = started.elapsed();
                let new_values = holds.each(|at, token| new_value(&value, at, cost, token));
                let cache = holds.end(new_values).await;
                Ok(WrittenMany { value, cache })
            }
            Err(WriteError::RolledBack(error)) => {
                holds.end(Vec::new()).await;
                Err(writer_failed(error))
            }
            // The commit may still come: a hold runs out by itself, and without one the drop invalidates.
            Err(WriteError::Unknown(error)) => Err(writer_failed(error)),
        }
    }
}

impl<K: CacheKey, V: 'static> Keyspace<K, V> {
    /// Runs a database write with this key held, and stores what it returns: the value as it is in the database now,
    /// or that there is none. If another writer overlapped, nobody knows whose commit was the last, and the entry is
    /// dropped instead. Two round trips.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    ///
    /// # Cancellation
    /// As [`write`](Self::write).
    pub async fn write_value<E: Into<WriteError>>(
        &self,
        key: &K,
        writer: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Written<Option<V>>> {
        let keys = std::slice::from_ref(key);
        let value =
            |value: &Option<V>, _, cost, token| self.encode_written(value.as_ref(), cost, token);
        Ok(single(self.bracket(keys, writer, value).await?))
    }

    /// [`write_value`](Self::write_value) for several keys: the writer returns their values in the order of the keys. Another
    /// number of values stores none of them. Two round trips.
    ///
    /// # Errors
    /// As [`write`](Self::write), for all keys together.
    pub async fn write_values<E: Into<WriteError>>(
        &self,
        keys: &[K],
        writer: impl Future<Output = Result<Vec<Option<V>>, E>>,
    ) -> Result<WrittenMany<Vec<Option<V>>>> {
        let value = |values: &Vec<Option<V>>, at: usize, cost, token| match values.get(at) {
            Some(value) if values.len() == keys.len() => {
                self.encode_written(value.as_ref(), cost, token)
            }
            _ => Err(another_number(keys.len(), values.len())),
        };
        self.bracket(keys, writer, value).await
    }

    fn encode_written(
        &self,
        value: Option<&V>,
        cost: Duration,
        token: Token,
    ) -> Result<Option<NewValue>> {
        let version = self.row_version(value);
        self.encode_value(value, version, None, cost, token)
    }
}

fn another_number(keys: usize, values: usize) -> Error {
    Error::new(
        ErrorKind::Writer,
        format!(
            "the writer returned {values} rows for {keys} keys; it must return one for each key, in their order"
        ),
    )
}

fn single<T>(mut written: WrittenMany<T>) -> Written<T> {
    Written {
        value: written.value,
        cache: written.cache.pop().unwrap_or(CacheState::Invalidated),
    }
}

fn writer_failed(error: BoxError) -> Error {
    Error::new(ErrorKind::Writer, "the writer failed").with_source(error)
}

impl Core {
    async fn begin(
        self: &Arc<Self>,
        addresses: impl Iterator<Item = Option<Key>>,
    ) -> Result<Holds> {
        let hold = |address: Option<Key>| address.map(Hold::new).transpose();
        let held: larder_store::Result<_> = addresses.map(hold).collect();
        let mut holds = Holds {
            core: Arc::clone(self),
            held: held.map_err(|error| self.store_failed(error))?,
            running: false,
        };
        holds.request().await?;
        holds.running = true;
        Ok(holds)
    }

    async fn end(&self, ends: Vec<(Key, End)>) -> Vec<CacheState> {
        let replies = self.send_ends(&ends).await;
        let mut states = Vec::with_capacity(ends.len());
        for ((address, mut end), reply) in ends.into_iter().zip(replies) {
            let stored = end.value.as_ref().map(|value| value.soft_ttl);
            let mut state = self.state(&address, end.token, stored, reply.clone());
            if let Err(error) = reply
                && error.kind() == StoreErrorKind::ValueTooLarge
                && end.value.take().is_some()
            {
                // The store takes less than the keyspace allows: the hold ends all the same.
                let again = self.store.apply(&address, &end).await;
                state = match self.state(&address, end.token, None, again) {
                    CacheState::Invalidated => CacheState::NotStored(error.into()),
                    state => state,
                };
            }
            states.push(state);
        }
        states
    }

    /// What the answer to an end says of the key.
    fn state(
        &self,
        address: &Key,
        hold: Token,
        stored: Option<Duration>,
        reply: StoreResult<Ended>,
    ) -> CacheState {
        match reply {
            Ok(Ended::Stored) => self.stored(stored),
            Ok(Ended::Released | Ended::Lost) => CacheState::Invalidated,
            Err(error) => CacheState::not_told(self.put_off_end(address, hold, error)),
        }
    }

    /// Counts what a writer stored, and says so.
    pub(super) fn stored(&self, ttl: Option<Duration>) -> CacheState {
        self.counters.stored.increment();
        CacheState::Stored(ttl.unwrap_or_default())
    }

    async fn send_ends(&self, ends: &[(Key, End)]) -> Vec<StoreResult<Ended>> {
        match self.store.apply_many(ends).await {
            Ok(replies) => replies,
            Err(error) => ends.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

fn refused(error: Error) -> Error {
    Error::new(
        ErrorKind::Refused,
        "the store is required for writes and can't be reached: nothing was written",
    )
    .with_source(error)
}

/// Counts a write however it ends: one that fails, panics or is dropped is an error.
struct CountWrite<'a> {
    core: &'a Core,
    failed: bool,
}

impl<'a> CountWrite<'a> {
    fn new(core: &'a Core) -> Self {
        core.counters.writes.increment();
        Self { core, failed: true }
    }

    fn succeeded(mut self) {
        self.failed = false;
    }
}

impl Drop for CountWrite<'_> {
    fn drop(&mut self) {
        if self.failed {
            self.core.counters.write_errors.increment();
        }
    }
}

/// Keys held by a writer.
struct Holds {
    core: Arc<Core>,
    /// In the order of the keys; none for a key that can't be encoded.
    held: Vec<Option<Hold>>,
    /// Whether the writer may be at it.
    running: bool,
}

/// A key held by a writer.
struct Hold {
    address: Key,
    token: Token,
    /// Whether the store said so. If not, it is never relied on.
    acknowledged: bool,
}

impl Hold {
    fn new(address: Key) -> StoreResult<Self> {
        Ok(Self {
            address,
            token: Token::fresh()?,
            acknowledged: false,
        })
    }

    /// The end of it. What was not acknowledged must not become a value.
    fn end(&self, value: Option<NewValue>) -> (Key, End) {
        let end = End {
            token: self.token,
            value: value.filter(|_| self.acknowledged),
        };
        (self.address.clone(), end)
    }
}

impl Holds {
    /// Asks for the holds. If some are not granted, and the store is required, those that are end again.
    async fn request(&mut self) -> Result<()> {
        if self.held.iter().flatten().next().is_none() {
            return Ok(());
        }
        let lifetime = self.core.settings.hold;
        let begin = |hold: &Hold| {
            let token = hold.token;
            (hold.address.clone(), Begin { token, lifetime })
        };
        let begins: Vec<_> = self.held.iter().flatten().map(begin).collect();
        let store = Arc::clone(&self.core.store);
        let request = async move { store.apply_many(&begins).await };
        let begun = SeeThrough::new(&self.core.tasks, request, self.unused()).await;
        let replies = match begun {
            Ok(replies) => replies,
            Err(error) => self
                .held
                .iter()
                .flatten()
                .map(|_| Err(error.clone()))
                .collect(),
        };
        let mut failure = None;
        for (hold, reply) in self.held.iter_mut().flatten().zip(replies) {
            match reply {
                Ok(()) => hold.acknowledged = true,
                Err(error) => failure = Some(self.core.store_failed(error)),
            }
        }
        match failure {
            Some(error) if self.core.settings.store_required => {
                // Nothing was written, so nobody has to know; what was granted runs out anyway.
                for hold in self.held.iter().flatten() {
                    let (key, end) = hold.end(None);
                    self.core.outbox.give_back(key, end.update());
                }
                Err(refused(error))
            }
            _ => Ok(()),
        }
    }

    /// What is to be stored for each key.
    fn each(
        &self,
        new_value: impl Fn(usize, Token) -> Result<Option<NewValue>>,
    ) -> Vec<Result<Option<NewValue>>> {
        let holds = self.held.iter().enumerate();
        let value = |(at, hold): (usize, &Option<Hold>)| match hold {
            Some(hold) => new_value(at, hold.token),
            None => Ok(None),
        };
        holds.map(value).collect()
    }

    /// Ends the holds after the writer is done, and says what became of each key.
    async fn end(mut self, new_values: Vec<Result<Option<NewValue>>>) -> Vec<CacheState> {
        self.running = false;
        let mut new_values = new_values.into_iter();
        let mut ends = Vec::with_capacity(self.held.len());
        let mut unstored = Vec::with_capacity(self.held.len());
        for hold in &self.held {
            let (value, error) = match new_values.next() {
                Some(Ok(value)) => (value, None),
                Some(Err(error)) => (None, Some(error)),
                None => (None, None),
            };
            if let Some(hold) = hold {
                ends.push(hold.end(value));
                unstored.push(error);
            }
        }
        let states = self.send(ends).await.into_iter().zip(unstored);
        let mut states = states.map(|(state, error)| match (state, error) {
            (CacheState::Invalidated, Some(error)) => CacheState::NotStored(error),
            (state, _) => state,
        });
        let state = |hold: &Option<Hold>| match hold {
            Some(_) => states.next().unwrap_or(CacheState::Invalidated),
            None => CacheState::Invalidated,
        };
        self.held.iter().map(state).collect()
    }

    async fn send(&self, ends: Vec<(Key, End)>) -> Vec<CacheState> {
        if ends.is_empty() {
            return Vec::new();
        }
        let core = Arc::clone(&self.core);
        let outbox = Arc::clone(&self.core.outbox);
        let keys: Vec<_> = ends
            .iter()
            .map(|(key, end)| (key.clone(), end.token))
            .collect();
        let lost = move |outcome: Option<_>| {
            if outcome.is_none() {
                for (key, token) in &keys {
                    outbox.end(key, *token);
                }
            }
        };
        let request = async move { core.end(ends).await };
        SeeThrough::new(&self.core.tasks, request, lost).await
    }

    /// Ends them without a value.
    fn ending(&self) -> impl Future<Output = ()> + Send + use<> {
        let held = self.held.iter().flatten();
        let ends: Vec<_> = held.map(|hold| hold.end(None)).collect();
        let core = Arc::clone(&self.core);
        async move {
            core.end(ends).await;
        }
    }

    /// What happens to holds that are granted after their caller went away: they end. If the request was lost, there
    /// is nothing to end, or they run out.
    fn unused<T>(&self) -> impl FnOnce(Option<T>) + Send + Unpin + use<T> {
        let (tasks, ending) = (self.core.tasks.clone(), Box::pin(self.ending()));
        move |begun| {
            if begun.is_some() {
                tasks.spawn(ending);
            }
        }
    }
}

impl Drop for Holds {
    /// A writer that went away or failed may have committed, or may still do so. Its holds run out by themselves.
    /// Where there is none, only invalidations help: now, and when a hold would have run out.
    fn drop(&mut self) {
        if !self.running {
            return;
        }
        let held = self.held.iter().flatten();
        let unheld = held.filter(|hold| !hold.acknowledged);
        let keys: Vec<Key> = unheld.map(|hold| hold.address.clone()).collect();
        if keys.is_empty() {
            return;
        }
        let outbox = Arc::clone(&self.core.outbox);
        for key in &keys {
            outbox.invalidate(key);
        }
        let hold = self.core.settings.hold;
        if let Ok(runtime) = Handle::try_current()
            && self.core.tasks.len() < MOST_SLEEPERS
        {
            let later = async move {
                sleep(hold).await;
                for key in &keys {
                    outbox.invalidate(key);
                }
            };
            self.core.tasks.spawn_on(later, &runtime);
        }
    }
}
