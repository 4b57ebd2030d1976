//! Settings of a Redis store.

use std::{sync::Arc, time::Duration};

use bb8::Pool;
use larder_store::{Error, ErrorKind, Result};

use crate::{
    RedisStore, clock::Clock, deadlines::Deadlines, endpoint::Endpoint, error, lanes::Lanes,
    manager::Manager, subscriber::Subscriber,
};

/// Settings of a [`RedisStore`]; from [`RedisStore::builder`].
#[derive(Debug, Clone)]
pub struct RedisStoreBuilder {
    endpoint: Endpoint,
    deadline: Duration,
    connect_timeout: Duration,
    lanes: usize,
    max_value_len: usize,
}

impl RedisStoreBuilder {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self {
            endpoint: Endpoint::parse(url)?,
            deadline: Duration::from_millis(100),
            connect_timeout: Duration::from_millis(500),
            lanes: 2,
            max_value_len: 64 << 20,
        })
    }

    /// How long an operation may take before it fails as timed out. The default: 100 ms.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long connecting may take, greeting and login included. The default: 500 ms; more than 1 s has no
    /// effect.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many connections are shared by all operations. The first one is used until some 64 KiB of
    /// replies are in flight on it. The default: 2; more connections batch less.
    #[must_use]
    pub const fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// Refuses larger values. The default: 64 MiB; Redis itself takes 512 MiB.
    #[must_use]
    pub const fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = bytes;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// If the server can't be reached or refuses the credentials.
    pub async fn connect(self) -> Result<RedisStore> {
        let endpoint = self.endpoint.clone();
        let store = self.unconnected()?;
        let connected = store.lanes().connect().await;
        connected.map_err(|error| error::no_connection(&endpoint, error))?;
        store.start();
        Ok(store)
    }

    /// A store that connects in the background: until then its operations fail at once as
    /// [`ErrorKind::Unavailable`], so that an application can start without Redis.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for settings that can't work, or outside of a tokio runtime.
    pub fn connect_in_background(self) -> Result<RedisStore> {
        let store = self.unconnected()?;
        store.start();
        Ok(store)
    }

    fn unconnected(self) -> Result<RedisStore> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Config,
                "a Redis store works on a tokio runtime: connect inside of one",
            ));
        }
        if self.lanes == 0 || self.deadline.is_zero() || self.connect_timeout.is_zero() {
            return Err(Error::new(
                ErrorKind::Config,
                "a Redis store needs at least one lane, and deadlines above zero",
            ));
        }
        let clock = Arc::new(Clock::start());
        let manager = Manager::new(&self.endpoint, self.connect_timeout, Arc::clone(&clock))
            .map_err(error::connection)?;
        let deadlines = Deadlines::start(self.deadline).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the system has no thread left").with_source(error)
        })?;
        let pool = Pool::builder()
            // Retired connections count until their last request is answered.
            .max_size(u32::try_from(self.lanes.saturating_mul(4)).unwrap_or(u32::MAX))
            .test_on_check_out(false)
            .retry_connection(false)
            .connection_timeout(self.connect_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .build_unchecked(manager);
        let lanes = Arc::new(Lanes::new(pool, self.lanes, deadlines));
        let subscriber = Subscriber::new(&self.endpoint, self.connect_timeout, self.deadline);
        Ok(RedisStore::new(
            self.endpoint,
            lanes,
            subscriber,
            clock,
            self.max_value_len,
        ))
    }
}
