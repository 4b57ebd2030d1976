//! A sliding window log as blog posts write it: a sorted set of timestamps; ZREMRANGEBYSCORE, ZCARD, ZADD and EXPIRE in one
//! pipeline, and a look at the count afterwards.
//!
//! Its faults, all of them left as they are found:
//!
//! - A refused request is logged like an admitted one: who keeps trying is never admitted again, and the set grows with every
//!   try.
//! - The time is the client's: processes whose clocks differ don't agree on the window.
//! - The timestamp is the member, so requests of the same instant count once, and too many are admitted.
//! - A cost above one, several limits at once, when to come again: not answered.
//! - A lost reply is an error to the caller, and a request in the log.

use std::time::Duration;

use larder_store::BoxError;
use redis::aio::MultiplexedConnection;

/// The baseline. Keys are `{name}:{id}`.
#[derive(Debug, Clone)]
pub struct TextbookLimit {
    connection: MultiplexedConnection,
    name: String,
    limit: u64,
    window: Duration,
}

impl TextbookLimit {
    /// So many in each window of whole seconds, over one multiplexed connection.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn connect(
        url: &str,
        name: &str,
        limit: u64,
        window: Duration,
    ) -> Result<Self, BoxError> {
        let client = redis::Client::open(url)?;
        Ok(Self {
            connection: client.get_multiplexed_async_connection().await?,
            name: name.to_owned(),
            limit,
            window,
        })
    }

    /// Whether a request is admitted at this time by the client's clock, in milliseconds.
    ///
    /// # Errors
    /// Those of Redis.
    pub async fn check(&self, id: u64, now_ms: u64) -> Result<bool, BoxError> {
        // ANCHOR: check
        let key = format!("{}:{id}", self.name);
        let window_ms = u64::try_from(self.window.as_millis())?;
        let mut connection = self.connection.clone();
        let (count,): (u64,) = redis::pipe()
            .atomic()
            .zrembyscore(&key, 0, now_ms.saturating_sub(window_ms))
            .ignore()
            .zcard(&key)
            .zadd(&key, now_ms, now_ms)
            .ignore()
            .expire(&key, i64::try_from(self.window.as_secs())?)
            .ignore()
            .query_async(&mut connection)
            .await?;
        Ok(count < self.limit)
        // ANCHOR_END: check
    }
}
