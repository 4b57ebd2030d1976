//! The store.

use std::{
    fmt,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use larder_store::{
    Cursor, Error, ErrorKind, Key, Page, Ready, Reply, Result, Store, Subscription, Timestamp,
    Update,
};
use redis::{Pipeline, Value};
use tokio::task::AbortHandle;

use crate::{
    RedisStoreBuilder,
    clock::Clock,
    command::{self, By},
    endpoint::Endpoint,
    error::is_no_script,
    lanes::Lanes,
    reply,
    subscriber::Subscriber,
};

/// Records in a Redis server. Cloning gives another handle on the same connections.
///
/// Dropping the last handle closes them.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    lanes: Arc<Lanes>,
    subscriber: Subscriber,
    clock: Arc<Clock>,
    max_value_len: usize,
    reconnector: OnceLock<AbortHandle>,
}

/// What happened to the connections of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStats {
    /// Connections made after the first one.
    pub reconnects: u64,
}

impl RedisStore {
    /// Connects with the default settings.
    ///
    /// # Errors
    /// If the URL can't be used, the server can't be reached, or it refuses the credentials.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder(url)?.connect().await
    }

    /// Settings: deadlines, lanes, the largest value.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the URL can't be used.
    pub fn builder(url: &str) -> Result<RedisStoreBuilder> {
        RedisStoreBuilder::new(url)
    }

    pub(crate) fn new(
        endpoint: Endpoint,
        lanes: Arc<Lanes>,
        subscriber: Subscriber,
        clock: Arc<Clock>,
        max_value_len: usize,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                endpoint,
                lanes,
                subscriber,
                clock,
                max_value_len,
                reconnector: OnceLock::new(),
            }),
        }
    }

    /// Starts keeping the lanes filled.
    pub(crate) fn start(&self) {
        let lanes = Arc::clone(&self.inner.lanes);
        let task = tokio::spawn(lanes.keep_filled());
        let _ = self.inner.reconnector.set(task.abort_handle());
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    /// What happened to the connections so far.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        RedisStats {
            reconnects: self.inner.lanes.reconnects.load(Relaxed),
        }
    }

    /// Closes the connections as soon as the operations under way are done. Later ones fail as
    /// [`ErrorKind::Shutdown`].
    pub async fn shutdown(&self) {
        self.inner.stop();
        // Whoever was just reconnecting sees it, and stops.
        tokio::task::yield_now().await;
    }
}

impl Inner {
    fn stop(&self) {
        if let Some(reconnector) = self.reconnector.get() {
            reconnector.abort();
        }
        self.subscriber.stop();
        self.lanes.close();
    }

    fn check(&self, value: &[u8]) -> Result<()> {
        if value.len() <= self.max_value_len {
            return Ok(());
        }
        Err(Error::value_too_large(value.len(), self.max_value_len))
    }

    fn check_args(&self, update: &Update) -> Result<()> {
        let mut args = update.args().iter();
        args.try_for_each(|arg| self.check(arg.as_bytes()))
    }

    async fn run(&self, key: &Key, update: &Update) -> Result<Reply> {
        let mut value = self
            .lanes
            .command(&command::run(key, update, By::Hash))
            .await?;
        if unknown(&value) {
            value = self
                .lanes
                .command(&command::run(key, update, By::Source))
                .await?;
        }
        reply::scripted(value, &self.clock)
    }

    async fn run_all(&self, updates: &[&(Key, Update)]) -> Result<Vec<Result<Reply>>> {
        let by_hash = pipeline(updates, By::Hash);
        let values = self.lanes.pipeline(&by_hash, updates.len()).await?;
        let again: Vec<usize> = (0..values.len())
            .filter(|at| unknown(&values[*at]))
            .collect();
        let scripted = |value| reply::scripted(value, &self.clock);
        let mut replies: Vec<_> = values.into_iter().map(scripted).collect();
        if !again.is_empty() {
            let unsent: Vec<_> = again.iter().map(|at| updates[*at]).collect();
            let by_source = pipeline(&unsent, By::Source);
            match self.lanes.pipeline(&by_source, again.len()).await {
                Ok(values) => {
                    for (at, value) in again.into_iter().zip(values) {
                        replies[at] = scripted(value);
                    }
                }
                Err(error) => {
                    for at in again {
                        replies[at] = Err(error.clone());
                    }
                }
            }
        }
        Ok(replies)
    }

    /// Runs those updates that aren't too large, and says so of the others.
    async fn run_sendable(&self, updates: &[(Key, Update)]) -> Result<Vec<Result<Reply>>> {
        let checks: Vec<_> = updates
            .iter()
            .map(|(_, update)| self.check_args(update))
            .collect();
        let sendable = updates.iter().zip(&checks);
        let sendable: Vec<_> = sendable
            .filter_map(|(update, check)| check.is_ok().then_some(update))
            .collect();
        let replies = match sendable[..] {
            [] => Vec::new(),
            [(key, update)] => vec![self.run(key, update).await],
            _ => self.run_all(&sendable).await?,
        };
        let mut replies = replies.into_iter();
        let lost = || {
            Err(Error::new(
                ErrorKind::Protocol,
                "Redis left an update without a reply",
            ))
        };
        let mut next = |check: Result<()>| check.and_then(|()| replies.next().unwrap_or_else(lost));
        Ok(checks.into_iter().map(&mut next).collect())
    }
}

/// Whether the server did not know the script, and so did nothing.
fn unknown(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if is_no_script(error))
}

fn pipeline(updates: &[&(Key, Update)], by: By) -> Pipeline {
    let mut pipeline = redis::pipe();
    for (key, update) in updates {
        pipeline.add_command(command::run(key, update, by));
    }
    pipeline
}

#[async_trait]
impl Store for RedisStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let value = self.inner.lanes.command(&command::get(key)).await?;
        reply::record(value)
    }

    fn update_ready(&self, _key: &Key, _update: &Update) -> Option<Result<Reply>> {
        None
    }

    fn get_ready(&self, _key: &Key) -> Option<Ready> {
        None
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let value = self.inner.lanes.command(&command::mget(keys)).await?;
        reply::records(value, keys.len())
    }

    async fn set(&self, key: &Key, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.inner.check(&value)?;
        let reply = self
            .inner
            .lanes
            .command(&command::set(key, &value, ttl))
            .await?;
        reply::done(reply)
    }

    async fn set_many(&self, entries: &[(Key, Bytes)], ttl: Option<Duration>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for (key, value) in entries {
            self.inner.check(value)?;
            pipeline.add_command(command::set(key, value, ttl));
        }
        let replies = self.inner.lanes.pipeline(&pipeline, entries.len()).await?;
        replies.into_iter().try_for_each(reply::done)
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64> {
        if keys.is_empty() {
            return Ok(0);
        }
        let value = self.inner.lanes.command(&command::unlink(keys)).await?;
        reply::count(value)
    }

    /// A page is one SCAN, which looks at some 500 keys of the database, whatever they start with.
    async fn scan(&self, prefix: &[u8], cursor: Option<Cursor>) -> Result<Page> {
        let retired = &self.inner.lanes.retired;
        let epoch = cursor.map_or_else(|| retired.load(Relaxed), |cursor| cursor.epoch);
        let place = cursor.map_or(0, |cursor| cursor.place);
        let reply = self
            .inner
            .lanes
            .command(&command::scan(prefix, place))
            .await?;
        // A cursor is one of this server process; a connection that was lost may lead to another one by now.
        if retired.load(Relaxed) != epoch {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "a connection was lost during the scan, which has to start anew",
            ));
        }
        reply::page(reply, epoch)
    }

    async fn update(&self, key: &Key, update: &Update) -> Result<Reply> {
        self.inner.check_args(update)?;
        self.inner.run(key, update).await
    }

    async fn update_many(&self, updates: &[(Key, Update)]) -> Result<Vec<Result<Reply>>> {
        self.inner.run_sendable(updates).await
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription> {
        self.inner.subscriber.subscribe(key).await
    }

    async fn ping(&self) -> Result<()> {
        let value = self.inner.lanes.command(&redis::cmd("PING")).await?;
        reply::done(value)
    }

    fn now(&self) -> Option<Timestamp> {
        self.inner.clock.now()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl From<RedisStore> for Arc<dyn Store> {
    fn from(store: RedisStore) -> Self {
        Arc::new(store)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("endpoint", &self.inner.endpoint)
            .finish_non_exhaustive()
    }
}
