//! Cache-aside as blog posts write it: GET, load, SETEX; DEL after a write. With its race: a reader that loaded
//! before a write can store what it loaded after the DEL, and everybody reads the old value until the TTL ends.

use std::{sync::Arc, time::Duration};

use larder_store::{BoxError, Namespace, Store};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use serde::{Serialize, de::DeserializeOwned};

/// The baseline. Keys are `{name}:{id}`, values are MessagePack.
#[derive(Debug, Clone)]
pub struct Textbook {
    connection: MultiplexedConnection,
    name: String,
    ttl: Duration,
}

impl Textbook {
    /// Over one multiplexed connection, as the redis crate's own examples do it.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn connect(url: &str, name: &str, ttl: Duration) -> Result<Self, BoxError> {
        let client = redis::Client::open(url)?;
        Ok(Self {
            connection: client.get_multiplexed_async_connection().await?,
            name: name.to_owned(),
            ttl,
        })
    }

    /// GET; on a miss load, then SETEX.
    ///
    /// # Errors
    /// Those of Redis, of decoding and of the load: everything fails if anything fails.
    pub async fn get<V, F, E>(&self, id: u64, load: F) -> Result<(Option<V>, bool), BoxError>
    where
        V: Serialize + DeserializeOwned,
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxError>,
    {
        let key = self.key(id);
        match self.find(&key).await? {
            Some(value) => Ok((Some(value), true)),
            None => Ok((self.load(&key, load).await?, false)),
        }
    }

    /// DEL, after the database was written.
    ///
    /// # Errors
    /// Those of Redis; the stale entry then stays.
    pub async fn invalidate(&self, id: u64) -> Result<(), BoxError> {
        let mut connection = self.connection.clone();
        let _: () = connection.del(self.key(id)).await?;
        Ok(())
    }

    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    pub(crate) fn key(&self, id: u64) -> String {
        format!("{}:{id}", self.name)
    }

    /// GET.
    pub(crate) async fn find<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, BoxError> {
        let mut connection = self.connection.clone();
        let cached: Option<Vec<u8>> = connection.get(key).await?;
        Ok(match cached {
            Some(bytes) => Some(rmp_serde::from_slice(&bytes)?),
            None => None,
        })
    }

    /// Loads, then SETEX if there is something.
    pub(crate) async fn load<V, F, E>(&self, key: &str, load: F) -> Result<Option<V>, BoxError>
    where
        V: Serialize,
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxError>,
    {
        let value = load.await.map_err(Into::into)?;
        if let Some(value) = &value {
            self.set(key, value).await?;
        }
        Ok(value)
    }

    /// SETEX.
    pub(crate) async fn set<V: Serialize>(&self, key: &str, value: &V) -> Result<(), BoxError> {
        let mut connection = self.connection.clone();
        let bytes = rmp_serde::to_vec_named(value)?;
        let seconds = self.ttl.as_secs().max(1);
        let _: () = connection.set_ex(key, bytes, seconds).await?;
        Ok(())
    }
}

/// The same over any store's bare operations: get, load, set; delete after a write. The same race.
#[derive(Debug, Clone)]
pub struct TextbookOverStore {
    store: Arc<dyn Store>,
    names: Namespace,
    ttl: Duration,
}

impl TextbookOverStore {
    /// In this store, under this name.
    ///
    /// # Errors
    /// If the name can't be used.
    pub fn new(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        ttl: Duration,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            store: store.into(),
            names: Namespace::new(name, 1)?,
            ttl,
        })
    }

    /// Get; on a miss load, then set.
    ///
    /// # Errors
    /// Those of the store, of decoding and of the load.
    pub async fn get<V, F, E>(&self, id: u64, load: F) -> Result<(Option<V>, bool), BoxError>
    where
        V: Serialize + DeserializeOwned,
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxError>,
    {
        let key = self.names.key(&id)?;
        if let Some(bytes) = self.store.get(&key).await? {
            return Ok((Some(rmp_serde::from_slice(&bytes)?), true));
        }
        let value = load.await.map_err(Into::into)?;
        if let Some(value) = &value {
            let bytes = rmp_serde::to_vec_named(value)?;
            self.store.set(&key, bytes.into(), Some(self.ttl)).await?;
        }
        Ok((value, false))
    }

    /// Delete, after the database was written.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn invalidate(&self, id: u64) -> Result<(), BoxError> {
        self.store.delete(&[self.names.key(&id)?]).await?;
        Ok(())
    }
}
