//! The database, and the knowledge of which writes are complete.

use redis::{AsyncConnectionConfig, RedisResult, aio::MultiplexedConnection};

/// Keeps a version for each row, in a Redis of its own that nothing happens to.
#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    connection: MultiplexedConnection,
}

const RAISE: &str = "if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[1]) or 0) then \
                     redis.call('SET', KEYS[1], ARGV[1]) end";

impl Oracle {
    pub(crate) async fn connect(url: &str) -> RedisResult<Self> {
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = redis::Client::open(url)?;
        Ok(Self {
            connection: client
                .get_multiplexed_async_connection_with_config(&config)
                .await?,
        })
    }

    /// The version of a row as it is now.
    pub(crate) async fn version(&self, row: u64) -> RedisResult<u64> {
        self.number("version", row).await
    }

    /// Commits a change, and returns the new version.
    pub(crate) async fn commit(&self, row: u64) -> RedisResult<u64> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("INCR");
        command.arg(name("version", row));
        command.query_async(&mut connection).await
    }

    /// The newest version whose write is complete.
    pub(crate) async fn complete(&self, row: u64) -> RedisResult<u64> {
        self.number("complete", row).await
    }

    /// The same of several rows.
    pub(crate) async fn complete_of(&self, rows: &[u64]) -> RedisResult<Vec<u64>> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("MGET");
        for row in rows {
            command.arg(name("complete", *row));
        }
        let found: Vec<Option<u64>> = command.query_async(&mut connection).await?;
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// From now on nobody may see an older version of the row.
    pub(crate) async fn completed(&self, row: u64, version: u64) -> RedisResult<()> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("EVAL");
        command
            .arg(RAISE)
            .arg(1)
            .arg(name("complete", row))
            .arg(version);
        command.query_async(&mut connection).await
    }

    async fn number(&self, what: &str, row: u64) -> RedisResult<u64> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("GET");
        command.arg(name(what, row));
        let found: Option<u64> = command.query_async(&mut connection).await?;
        Ok(found.unwrap_or_default())
    }
}

fn name(what: &str, row: u64) -> String {
    format!("{what}:{row}")
}
