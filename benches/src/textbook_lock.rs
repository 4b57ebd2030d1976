//! Coalescing as blog posts write it: whoever gets a lock in Redis loads, and the others sleep and look again.
//!
//! Its races and faults, all of them left as they are found:
//!
//! - A load that outlives its lock is not alone: the next reader locks and loads too. The slow one then deletes that
//!   reader's lock, since DEL doesn't ask whose it is, and a third one loads.
//! - Who looked before the winner stored and asks for the lock after it was deleted gets it, and loads once more.
//! - A winner that dies or is cancelled leaves its lock, and all readers wait until it expires.
//! - When the tries are used up, the readers who waited load all at once: the stampede again.
//! - A missing row is not stored, so those who wait for it load it one after the other.
//! - Readers wait in steps of the pause, however short the load is.
//! - A value loaded before a write is stored after it, as in [`textbook`](crate::textbook).

use std::time::Duration;

use larder_store::BoxError;
use redis::{AsyncCommands, ExistenceCheck, SetExpiry, SetOptions};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::sleep;

use crate::textbook::Textbook;

/// How long a lock lives, in seconds.
const LOCK: u64 = 10;

/// How long a loser sleeps before it looks again.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a loser looks: 5 s in all.
const TRIES: usize = 50;

/// The baseline. Keys are `{name}:{id}`, locks `{name}:{id}:lock`.
#[derive(Debug, Clone)]
pub struct TextbookLock {
    textbook: Textbook,
}

impl TextbookLock {
    /// Over one multiplexed connection.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn connect(url: &str, name: &str, ttl: Duration) -> Result<Self, BoxError> {
        Ok(Self {
            textbook: Textbook::connect(url, name, ttl).await?,
        })
    }

    /// GET; on a miss SET NX of the lock. Who gets it loads, SETEX, and DEL of the lock; who doesn't sleeps and begins
    /// again, and loads without a lock in the end. Says whether the value was there.
    ///
    /// # Errors
    /// Those of Redis, of decoding and of the load: everything fails if anything fails.
    pub async fn get<V, F, E>(&self, id: u64, load: F) -> Result<(Option<V>, bool), BoxError>
    where
        V: Serialize + DeserializeOwned,
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxError>,
    {
        let key = self.textbook.key(id);
        let lock = format!("{key}:lock");
        for _ in 0..TRIES {
            if let Some(value) = self.textbook.find(&key).await? {
                return Ok((Some(value), true));
            }
            if self.lock(&lock).await? {
                let loaded = self.textbook.load(&key, load).await;
                self.unlock(&lock).await?;
                return Ok((loaded?, false));
            }
            sleep(PAUSE).await;
        }
        Ok((self.textbook.load(&key, load).await?, false))
    }

    /// SET NX EX. Says whether the lock is ours.
    async fn lock(&self, lock: &str) -> Result<bool, BoxError> {
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::EX(LOCK));
        let mut connection = self.textbook.connection();
        Ok(connection.set_options(lock, 1, options).await?)
    }

    /// DEL, whoever's lock it is by now.
    async fn unlock(&self, lock: &str) -> Result<(), BoxError> {
        let mut connection = self.textbook.connection();
        let _: () = connection.del(lock).await?;
        Ok(())
    }
}
