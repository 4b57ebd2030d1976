//! The database behind the caches: SQLite in a file of its own, read by a pool and written by one connection.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;

/// How many reads run at once, as many as small applications let their pools have.
const READERS: u32 = 8;
const BUSY: Duration = Duration::from_secs(10);

const TABLE: &str = "CREATE TABLE page (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL
)";

/// One statement, and so one transaction.
const ROWS: &str = "INSERT INTO page (id, version, title, body)
    WITH RECURSIVE ids(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM ids WHERE id + 1 < ?1)
    SELECT id, 1, 'Product ' || id || ', in stock',
        'A page about product ' || id || ', as a shop keeps it: what it is made of, what it weighs, who sells it'
        || ' and at what price, in ' || (id % 7 + 1) || ' colours and ' || (id % 5 + 1) || ' sizes.'
    FROM ids";

const READ: &str = "SELECT version, title, body FROM page WHERE id = ?1";

const WRITE: &str =
    "UPDATE page SET version = version + 1 WHERE id = ?1 RETURNING version, title, body";

/// A row, and what the caches keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) version: i64,
    pub(crate) title: String,
    pub(crate) body: String,
}

/// A database that holds a row for each key, all at version [`FIRST`](Origin::FIRST).
#[derive(Debug)]
pub(crate) struct Origin {
    readers: SqlitePool,
    /// One connection: SQLite takes one writer at a time, and a queue is fairer than its busy handler.
    writer: SqlitePool,
    delay: Duration,
    queries: AtomicU64,
    _directory: TempDir,
}

impl Origin {
    /// The version of the rows before the first write.
    pub(crate) const FIRST: i64 = 1;

    /// A new database with these many rows. Each read takes `delay` longer, after the row was read.
    pub(crate) async fn create(keys: usize, delay: Duration) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("larder-lab-").tempdir()?;
        let options = options(directory.path());
        let writer = pool(1)
            .connect_with(options.clone().create_if_missing(true))
            .await?;
        sqlx::query(TABLE).execute(&writer).await?;
        sqlx::query(ROWS)
            .bind(i64::try_from(keys)?)
            .execute(&writer)
            .await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self {
            readers,
            writer,
            delay,
            queries: AtomicU64::new(0),
            _directory: directory,
        })
    }

    /// The page of this key.
    pub(crate) async fn load(&self, key: u32) -> Result<Option<Page>, sqlx::Error> {
        self.queries.fetch_add(1, Relaxed);
        let row: Option<(i64, String, String)> = sqlx::query_as(READ)
            .bind(i64::from(key))
            .fetch_optional(&self.readers)
            .await?;
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(row.map(page))
    }

    /// Changes the page of this key and returns it as it is since, once that is committed.
    pub(crate) async fn update(&self, key: u32) -> Result<Page, sqlx::Error> {
        let update = sqlx::query_as(WRITE).bind(i64::from(key));
        // The row comes before the commit; the end of all rows comes after it.
        let rows: Vec<(i64, String, String)> = update.fetch_all(&self.writer).await?;
        let row = rows.into_iter().next();
        row.map(page).ok_or(sqlx::Error::RowNotFound)
    }

    /// How many times a page was loaded.
    pub(crate) fn queries(&self) -> u64 {
        self.queries.load(Relaxed)
    }

    /// Closes the connections, so that the directory can be removed.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn page((version, title, body): (i64, String, String)) -> Page {
    Page {
        version,
        title,
        body,
    }
}

/// As production would set it up: readers and the writer don't wait for each other.
fn options(directory: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(directory.join("origin.db"))
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .disable_statement_logging()
}

/// A pool that asks nothing of a connection before lending it, and keeps all it has.
fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(size)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_there_and_count_their_changes() {
        let origin = Origin::create(3, Duration::ZERO).await.expect("a database");
        assert_eq!(origin.update(2).await.expect("a row").version, 2);
        assert_eq!(origin.update(2).await.expect("a row").version, 3);
        let version = async |key| {
            origin
                .load(key)
                .await
                .expect("SQLite")
                .map(|page| page.version)
        };
        assert_eq!(version(2).await, Some(3));
        assert_eq!(version(0).await, Some(Origin::FIRST));
        assert_eq!(version(3).await, None);
        assert_eq!(origin.queries(), 3);
        origin.close().await;
    }

    #[tokio::test]
    async fn rows_are_of_a_realistic_size() {
        let origin = Origin::create(30_000, Duration::ZERO)
            .await
            .expect("a database");
        let page = origin.load(29_999).await.expect("SQLite").expect("a row");
        assert!(
            (150..250).contains(&(page.title.len() + page.body.len())),
            "{page:?}"
        );
        origin.close().await;
    }

    #[tokio::test]
    async fn a_missing_row_is_no_write() {
        let origin = Origin::create(1, Duration::ZERO).await.expect("a database");
        assert!(origin.update(7).await.is_err());
        origin.close().await;
    }
}
