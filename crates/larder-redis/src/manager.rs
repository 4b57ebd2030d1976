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
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::time::timeout;

use crate::{clock::Clock, endpoint::Endpoint};

/// What bb8-redis' manager does, and what it lacks: a deadline for connecting, the server's time at hand from the
/// start, and knowing a broken connection. Its connections have no timeouts of their own: see
/// [`Deadlines`](crate::deadlines::Deadlines).
#[derive(Debug)]
pub(crate) struct Manager {
    client: Client,
    connect_timeout: Duration,
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
        clock: Arc<Clock>,
    ) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(endpoint.info())?,
            connect_timeout,
            clock,
        })
    }

    async fn open(&self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut multiplexed = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
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
            Err(_elapsed) => Err(timed_out()),
        }
    }

    async fn is_valid(&self, connection: &mut Connection) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        let pong = ping.exec_async(&mut connection.multiplexed);
        match timeout(self.connect_timeout, pong).await {
            Ok(pong) => pong,
            Err(_elapsed) => Err(timed_out()),
        }
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.broken.load(Relaxed)
    }
}

fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
