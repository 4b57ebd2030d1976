//! Limiters whose time the test gives, in memory and on Redis.
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use larder_memory::MemoryStore;
use larder_rate_limit::{Algorithm, Quota, RateLimiter};
use larder_store::{
    Arg, Bytes, Cursor, Error, ErrorKind, Key, Page, Ready, Reply, Result, Store, Subscription,
    Timestamp, Update,
};
use larder_testing::RedisServer;
use redis::{Connection, Value};

/// A store whose clock stands until the test moves it.
pub(crate) enum Rig {
    /// The memory store in virtual time.
    Memory(MemoryStore),
    /// A real Redis whose scripts are given the time.
    Redis(GivenTime, Box<RedisServer>),
}

impl Rig {
    pub(crate) fn memory() -> Self {
        tokio::time::pause();
        Self::Memory(MemoryStore::new(1_000))
    }

    pub(crate) async fn redis() -> Self {
        let server = RedisServer::start().await.expect("a server");
        let store = GivenTime::connect(&server.url());
        Self::Redis(store, Box::new(server))
    }

    /// Both stores.
    pub(crate) async fn both() -> [Self; 2] {
        let redis = Self::redis().await;
        [Self::memory(), redis]
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone().into(),
            Self::Redis(store, _) => Arc::new(store.clone()),
        }
    }

    pub(crate) fn limiter(&self, algorithm: Algorithm, quota: Quota) -> RateLimiter<str> {
        RateLimiter::builder(self.store(), "table")
            .algorithm(algorithm)
            .quota(quota)
            .fail_closed()
            .build()
            .expect("a limiter")
    }

    pub(crate) async fn advance(&self, time: Duration) {
        match self {
            Self::Memory(_) => tokio::time::advance(time).await,
            Self::Redis(store, _) => store.advance(time),
        }
    }

    fn now_us(&self) -> u64 {
        match self {
            Self::Memory(store) => store.now().expect("its time").as_micros(),
            Self::Redis(store, _) => store.now_us.load(SeqCst),
        }
    }

    /// Goes on to where windows of this period start.
    pub(crate) async fn advance_to_start_of(&self, period: Duration) {
        let period = u64::try_from(period.as_micros()).expect("microseconds");
        let left = period - self.now_us() % period;
        self.advance(Duration::from_micros(left)).await;
    }
}

impl Drop for Rig {
    /// Servers are started in real time.
    fn drop(&mut self) {
        if let Self::Memory(_) = self {
            tokio::time::resume();
        }
    }
}

/// A store over Redis that runs scripts at a given time. Records don't expire, since real time means nothing to them.
#[derive(Clone)]
pub(crate) struct GivenTime {
    connection: Arc<Mutex<Connection>>,
    now_us: Arc<AtomicU64>,
}

impl std::fmt::Debug for GivenTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GivenTime")
    }
}

impl GivenTime {
    fn connect(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a URL");
        let connection = client.get_connection().expect("a connection");
        Self {
            connection: Arc::new(Mutex::new(connection)),
            now_us: Arc::new(AtomicU64::new(1_700_000_000_123_456)),
        }
    }

    fn advance(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).expect("microseconds");
        self.now_us.fetch_add(us, SeqCst);
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, key: &Key, update: &Update) -> Result<Reply> {
        let mut script = redis::cmd("EVAL");
        script.arg(update.script().source_at_given_time());
        script.arg(1).arg(key.as_bytes());
        for arg in update.args() {
            match arg {
                Arg::Int(int) => script.arg(int),
                Arg::Bytes(bytes) => script.arg(&bytes[..]),
            };
        }
        script.arg(self.now_us.load(SeqCst));
        let mut pipeline = redis::pipe();
        pipeline.atomic().add_command(script);
        pipeline.cmd("PERSIST").arg(key.as_bytes()).ignore();
        let reply: redis::RedisResult<((u64, Value),)> = pipeline.query(&mut self.connection());
        let ((_, reply),) =
            reply.map_err(|error| Error::new(ErrorKind::Server, "a script").with_source(error))?;
        Ok(plain(reply))
    }
}

fn plain(value: Value) -> Reply {
    match value {
        Value::Int(int) => Reply::Int(int),
        Value::BulkString(bytes) => Reply::Bytes(bytes.into()),
        Value::Array(values) => Reply::List(values.into_iter().map(plain).collect()),
        _ => Reply::Nil,
    }
}

#[async_trait]
impl Store for GivenTime {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.get_ready(key).and_then(|ready| ready.record))
    }

    /// It waits for nobody: so nothing is remembered by this process' clock, which is another one.
    fn get_ready(&self, key: &Key) -> Option<Ready> {
        let record: redis::RedisResult<Option<Vec<u8>>> = redis::cmd("GET")
            .arg(key.as_bytes())
            .query(&mut self.connection());
        Some(Ready {
            record: record.expect("a record").map(Bytes::from),
            now: Timestamp::from_micros(self.now_us.load(SeqCst)),
        })
    }

    async fn get_many(&self, _keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        unimplemented!("no limiter does it")
    }

    async fn set(&self, _key: &Key, _value: Bytes, _ttl: Option<Duration>) -> Result<()> {
        unimplemented!("no limiter does it")
    }

    async fn set_many(&self, _entries: &[(Key, Bytes)], _ttl: Option<Duration>) -> Result<()> {
        unimplemented!("no limiter does it")
    }

    async fn delete(&self, _keys: &[Key]) -> Result<u64> {
        unimplemented!("no limiter does it")
    }

    async fn scan(&self, _prefix: &[u8], _cursor: Option<Cursor>) -> Result<Page> {
        unimplemented!("no limiter does it")
    }

    async fn update(&self, key: &Key, update: &Update) -> Result<Reply> {
        self.run(key, update)
    }

    fn update_ready(&self, key: &Key, update: &Update) -> Option<Result<Reply>> {
        Some(self.run(key, update))
    }

    async fn update_many(&self, updates: &[(Key, Update)]) -> Result<Vec<Result<Reply>>> {
        Ok(updates
            .iter()
            .map(|(key, update)| self.run(key, update))
            .collect())
    }

    async fn subscribe(&self, _key: &Key) -> Result<Subscription> {
        unimplemented!("no limiter does it")
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    fn now(&self) -> Option<Timestamp> {
        Some(Timestamp::from_micros(self.now_us.load(SeqCst)))
    }
}
