//! The pattern.

use std::{fmt, sync::Arc};

use larder_cache::{
    CacheKey, CacheState, Codec, Error, ErrorKind, Keyspace, Result, WriteError, Written,
    WrittenMany,
};
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    WriteThroughBuilder, Writer,
    writer::{AnyWriter, Erased},
};

/// Writes go to the database and then into the cache, in one bracket: readers find what was written, and never something
/// older. Cloning gives another handle on the same cache.
///
/// See the [crate's page](crate) for when to use it, what it guarantees and what it costs.
pub struct WriteThrough<K, V> {
    keyspace: Keyspace<K, V>,
    writer: Arc<dyn AnyWriter<K, V>>,
}

/// What [`WriteThrough::create`] returned.
#[derive(Debug)]
#[non_exhaustive]
pub struct Created<K> {
    /// The key of the new row.
    pub key: K,
    /// What became of a negative entry that may have been there.
    pub cache: CacheState,
}

impl<K, V: Serialize + DeserializeOwned> WriteThrough<K, V> {
    /// Settings of a cache in this store, under this name: that of the cache that reads. Values are MessagePack.
    #[must_use]
    pub fn builder(store: impl Into<Arc<dyn Store>>, name: &str) -> WriteThroughBuilder<K, V> {
        WriteThroughBuilder::new(store, name)
    }
}

impl<K, V> WriteThrough<K, V> {
    /// Settings of a cache whose values are encoded by this codec.
    #[must_use]
    pub fn builder_with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> WriteThroughBuilder<K, V> {
        WriteThroughBuilder::with_codec(store, name, codec)
    }

    /// The writing side of a cache in this process: with its store, name, version, codec, settings and statistics.
    ///
    /// ```
    /// # use larder_memory::MemoryStore;
    /// # use larder_write_through::{Writer, async_trait};
    /// # use std::{convert::Infallible, io};
    /// # struct Database;
    /// # #[async_trait]
    /// # impl Writer<u64, String> for Database {
    /// #     type Error = io::Error;
    /// #     async fn create(&self, _: &String) -> io::Result<u64> { Ok(1) }
    /// #     async fn update(&self, _: &u64, user: String) -> io::Result<Option<String>> { Ok(Some(user)) }
    /// #     async fn delete(&self, _: &u64) -> io::Result<()> { Ok(()) }
    /// # }
    /// use larder_cache_aside::CacheAside;
    /// use larder_write_through::WriteThrough;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let users: CacheAside<u64, String> = CacheAside::builder(MemoryStore::new(10_000), "user")
    ///     .build(|id| async move { Ok::<_, Infallible>(Some(format!("user {id}"))) })?;
    /// let writes = WriteThrough::beside(users.keyspace(), Database);
    ///
    /// writes.update(&7, "Grace".to_owned()).await?;
    /// assert_eq!(users.get(&7).await?.as_deref(), Some("Grace"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn beside(keyspace: &Keyspace<K, V>, writer: impl Writer<K, V>) -> Self
    where
        K: Sync,
        V: Send + Sync + 'static,
    {
        Self::new(keyspace.clone(), Arc::new(Erased(writer)))
    }

    pub(crate) fn new(keyspace: Keyspace<K, V>, writer: Arc<dyn AnyWriter<K, V>>) -> Self {
        Self { keyspace, writer }
    }

    /// Waits for what is under way in the background, 5 s at the most. Call it before the program ends; the
    /// cache can still be used.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`](crate::ErrorKind::Deferred) if the store could not be told of all writes by then.
    pub async fn shutdown(&self) -> Result<()> {
        self.keyspace.shutdown().await
    }
}

impl<K, V> WriteThrough<K, V>
where
    K: CacheKey + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Inserts a row. Its key isn't known before, so it can't be held and nothing is stored; a negative entry that readers
    /// left under it is dropped. One round trip.
    ///
    /// # Errors
    /// [`ErrorKind::Writer`](crate::ErrorKind::Writer) if the writer failed.
    ///
    /// # Cancellation
    /// If the future is dropped while the writer runs, a negative entry under the new key stays until its TTL.
    pub async fn create(&self, value: V) -> Result<Created<K>> {
        let failed = |error: WriteError| {
            Error::new(ErrorKind::Writer, "the writer failed").with_source(error.into_source())
        };
        let key = self.writer.create(&value).await.map_err(failed)?;
        let cache = match self.keyspace.invalidate(&key).await {
            Ok(()) => CacheState::Invalidated,
            Err(error) if error.kind() == ErrorKind::Deferred => CacheState::Deferred(error),
            Err(error) => CacheState::Failed(error),
        };
        Ok(Created { key, cache })
    }

    /// Changes a row, and stores it as the writer returned it. If another writer overlapped, nobody knows whose commit
    /// was the last, and the entry is dropped instead. Two round trips.
    ///
    /// # Errors
    /// [`ErrorKind::Writer`](crate::ErrorKind::Writer) if the writer failed. If it is not known to be rolled back, the
    /// key stays uncached for the lifetime of a hold. [`ErrorKind::Refused`](crate::ErrorKind::Refused) if the store is
    /// required and could not be reached; the writer was not run.
    ///
    /// # Cancellation
    /// If the future is dropped while the writer runs, the hold runs out by itself. Once the writer is done, the end is
    /// seen through in the background.
    pub async fn update(&self, key: &K, value: V) -> Result<Written<Option<V>>> {
        self.write(key, self.writer.update(key, value)).await
    }

    /// Deletes a row, and drops the entry; or stores that there is none, if there is a
    /// [`negative_ttl`](WriteThroughBuilder::negative_ttl). Two round trips.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    ///
    /// # Cancellation
    /// As [`update`](Self::update).
    pub async fn delete(&self, key: &K) -> Result<CacheState> {
        let delete = async { self.writer.delete(key).await.map(|()| None) };
        Ok(self.write(key, delete).await?.cache)
    }

    /// Runs any write of one row, such as a transaction, and stores the row that it returns. Two round trips.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    ///
    /// # Cancellation
    /// As [`update`](Self::update).
    pub async fn write<E: Into<WriteError>>(
        &self,
        key: &K,
        writer: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Written<Option<V>>> {
        self.keyspace.write_value(key, writer).await
    }

    /// Runs any write of several rows, and stores the rows that it returns, one for each key and in their order: mind that
    /// `RETURNING` has no order, and leaves out rows that aren't there. Another number of rows stores none of them, and drops
    /// all entries. A key that is given twice overlaps with itself. Two round trips.
    ///
    /// # Errors
    /// As [`update`](Self::update), for all keys together.
    ///
    /// # Cancellation
    /// As [`update`](Self::update).
    pub async fn write_many<E: Into<WriteError>>(
        &self,
        keys: &[K],
        writer: impl Future<Output = Result<Vec<Option<V>>, E>>,
    ) -> Result<WrittenMany<Vec<Option<V>>>> {
        self.keyspace.write_values(keys, writer).await
    }
}

larder_cache::keyspace_methods!(WriteThrough, |cache| cache.keyspace);

impl<K, V> Clone for WriteThrough<K, V> {
    fn clone(&self) -> Self {
        Self {
            keyspace: self.keyspace.clone(),
            writer: Arc::clone(&self.writer),
        }
    }
}

impl<K, V> fmt::Debug for WriteThrough<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteThrough")
            .field("keyspace", &self.keyspace)
            .finish_non_exhaustive()
    }
}
