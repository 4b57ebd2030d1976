//! How the pool makes connections.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bb8::ManageConnection;
use bb8_redis::RedisConnectionManager;
use redis::{RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::time::timeout;

use crate::{clock::Clock, endpoint::Endpoint};

/// bb8-redis' manager with what it lacks: deadlines, the server's time at hand from the start, and knowing a
/// broken connection.
#[derive(Debug)]
pub(crate) struct Manager {
    inner: RedisConnectionManager,
    connect_timeout: Duration,
    deadline: Duration,
    clock: Arc<Clock>,
}

/// A multiplexed connection that the pool owns.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) multiplexed: MultiplexedConnection,
    pub(crate) broken: Arc<AtomicBool>,
}

impl Manager {
    pub(crate) fn new(
        endpoint: &Endpoint,
        connect_timeout: Duration,
        deadline: Duration,
        clock: Arc<Clock>,
    ) -> RedisResult<Self> {
        Ok(Self {
            inner: RedisConnectionManager::new(endpoint.info())?,
            connect_timeout,
            deadline,
            clock,
        })
    }

    async fn open(&self) -> RedisResult<Connection> {
        let mut multiplexed = self.inner.connect().await?;
        multiplexed.set_response_timeout(self.deadline);
        let (seconds, micros): (i64, i64) =
            redis::cmd("TIME").query_async(&mut multiplexed).await?;
        self.clock
            .observe(seconds.saturating_mul(1_000_000).saturating_add(micros));
        Ok(Connection {
            multiplexed,
            broken: Arc::default(),
        })
    }
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> RedisResult<Connection> {
        match timeout(self.connect_timeout, self.open()).await {
            Ok(connection) => connection,
            Err(_elapsed) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    async fn is_valid(&self, connection: &mut Connection) -> RedisResult<()> {
        self.inner.is_valid(&mut connection.multiplexed).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.broken.load(Relaxed)
    }
}
