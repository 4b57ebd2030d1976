//! Write-through as blog posts write it: UPDATE in the database, then SETEX.
//!
//! Its races and faults, all of them left as they are found:
//!
//! - Two writers: the first to write the database may be the last to write the cache, and its value stays until the TTL
//!   ends.
//! - A reader that loaded before the write stores what it has after the SETEX.
//! - A writer that dies, is cancelled, or can't reach Redis between the two leaves the old value.
//! - What is cached is what the writer believes: defaults, triggers and other columns of the database are not in it.

use std::time::Duration;

use larder_store::BoxError;
use serde::Serialize;

use crate::textbook::Textbook;

/// The baseline. Keys are `{name}:{id}`: a [`Textbook`] of the same name reads them.
#[derive(Debug, Clone)]
pub struct TextbookWrite {
    textbook: Textbook,
}

impl TextbookWrite {
    /// Over one multiplexed connection.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn connect(url: &str, name: &str, ttl: Duration) -> Result<Self, BoxError> {
        Ok(Self {
            textbook: Textbook::connect(url, name, ttl).await?,
        })
    }

    /// Runs the UPDATE, then SETEX of this value. Gives back what the database said.
    ///
    /// # Errors
    /// Those of the UPDATE, of encoding and of Redis; after the latter two the database is written and the cache is
    /// not.
    pub async fn write<V, T, F, E>(&self, id: u64, value: &V, update: F) -> Result<T, BoxError>
    where
        V: Serialize,
        F: Future<Output = Result<T, E>>,
        E: Into<BoxError>,
    {
        let written = update.await.map_err(Into::into)?;
        self.textbook.set(&self.textbook.key(id), value).await?;
        Ok(written)
    }
}
