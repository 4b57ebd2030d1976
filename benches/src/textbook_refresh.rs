//! Refresh-ahead as blog posts write it: GET and TTL, and a reload in the background if little of the TTL is left.
//!
//! Its races and faults, all of them left as they are found:
//!
//! - Every reader of a due entry starts a reload until the first one is stored: a hot key sends a stampede to the
//!   origin, from one process or from many.
//! - A reload that read the row before a write is stored after the DEL: the old value is back, for a whole TTL.
//! - A reload that ends late replaces what a later one has stored.
//! - A reload that fails goes unnoticed, and every reader tries again at once.
//! - Misses are not coalesced.

use std::time::Duration;

use larder_store::BoxError;
use serde::{Serialize, de::DeserializeOwned};

use crate::textbook::Textbook;

/// The baseline. Keys are `{name}:{id}`.
#[derive(Debug, Clone)]
pub struct TextbookRefresh {
    textbook: Textbook,
    threshold: Duration,
}

impl TextbookRefresh {
    /// Over one multiplexed connection. Entries with less than this threshold of their TTL left are reloaded; both
    /// count in whole seconds.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn connect(
        url: &str,
        name: &str,
        ttl: Duration,
        threshold: Duration,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            textbook: Textbook::connect(url, name, ttl).await?,
            threshold,
        })
    }

    /// GET and TTL, in one round trip. A miss loads, then SETEX; a hit that is due does the same in the background.
    /// Says whether the value was there.
    ///
    /// # Errors
    /// Those of Redis, of decoding and, on a miss, of the load.
    pub async fn get<V, F, E>(&self, id: u64, load: F) -> Result<(Option<V>, bool), BoxError>
    where
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
        F: Future<Output = Result<Option<V>, E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let key = self.textbook.key(id);
        let mut connection = self.textbook.connection();
        let (cached, left): (Option<Vec<u8>>, i64) = redis::pipe()
            .get(&key)
            .ttl(&key)
            .query_async(&mut connection)
            .await?;
        let Some(bytes) = cached else {
            return Ok((self.textbook.load(&key, load).await?, false));
        };
        // Below zero there is no TTL.
        if u64::try_from(left).is_ok_and(|left| left < self.threshold.as_secs()) {
            let textbook = self.textbook.clone();
            tokio::spawn(async move { textbook.load::<V, F, E>(&key, load).await.map(drop) });
        }
        Ok((Some(rmp_serde::from_slice(&bytes)?), true))
    }
}
