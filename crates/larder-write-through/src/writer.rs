//! Where values are written.

use async_trait::async_trait;
use larder_cache::WriteError;

/// Writes the origin, usually a database.
///
/// Every method returns once the change is committed. An error says whether the database is known to be unchanged
/// ([`WriteError::rolled_back`]), which is what to say of input that is refused before the database sees it, of violated
/// constraints and of a `ROLLBACK` that succeeded. Any other error converts into the opposite, and the key then stays
/// uncached for the lifetime of a hold, since the commit may still come.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use larder_write_through::{WriteError, Writer, async_trait};
///
/// #[derive(Default)]
/// struct Articles(Mutex<HashMap<u64, String>>);
///
/// #[async_trait]
/// impl Writer<u64, String> for Articles {
///     type Error = WriteError;
///
///     async fn create(&self, article: &String) -> Result<u64, WriteError> {
///         let mut rows = self.0.lock().expect("no panic");
///         let id = rows.len() as u64;
///         rows.insert(id, article.clone());
///         Ok(id)
///     }
///
///     async fn update(&self, id: &u64, article: String) -> Result<Option<String>, WriteError> {
///         if article.is_empty() {
///             return Err(WriteError::rolled_back("an article needs a text"));
///         }
///         let mut rows = self.0.lock().expect("no panic");
///         Ok(rows.get_mut(id).map(|row| {
///             *row = article;
///             row.clone()
///         }))
///     }
///
///     async fn delete(&self, id: &u64) -> Result<(), WriteError> {
///         self.0.lock().expect("no panic").remove(id);
///         Ok(())
///     }
/// }
/// ```
///
/// # Cancellation and panics
/// A write is dropped at any await if its caller goes away; its key then stays uncached for the lifetime of a hold.
/// The same after a panic, which reaches the caller.
#[async_trait]
pub trait Writer<K, V>: Send + Sync + 'static {
    /// What a failed write returns; callers find it with [`Error::writer_error`](crate::Error::writer_error).
    type Error: Into<WriteError> + Send;

    /// Inserts a row and returns its key.
    async fn create(&self, value: &V) -> Result<K, Self::Error>;

    /// Changes a row and returns it as it is now, with what the database made of it; `None` if there is no such row.
    async fn update(&self, key: &K, value: V) -> Result<Option<V>, Self::Error>;

    /// Deletes a row. Deleting a missing one succeeds.
    async fn delete(&self, key: &K) -> Result<(), Self::Error>;
}

/// No writer: for a cache that is told of writes by [`write`](crate::WriteThrough::write),
/// [`write_many`](crate::WriteThrough::write_many) and [`put_if_newer`](crate::WriteThrough::put_if_newer) only. Its own
/// methods fail, and change nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWriter;

fn no_writer() -> WriteError {
    WriteError::rolled_back(
        "this cache was built without a writer: use write, write_many or put_if_newer",
    )
}

#[async_trait]
impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Writer<K, V> for NoWriter {
    type Error = WriteError;

    async fn create(&self, _value: &V) -> Result<K, WriteError> {
        Err(no_writer())
    }

    async fn update(&self, _key: &K, _value: V) -> Result<Option<V>, WriteError> {
        Err(no_writer())
    }

    async fn delete(&self, _key: &K) -> Result<(), WriteError> {
        Err(no_writer())
    }
}

/// A writer whatever its error type.
#[async_trait]
pub(crate) trait AnyWriter<K, V>: Send + Sync {
    async fn create(&self, value: &V) -> Result<K, WriteError>;
    async fn update(&self, key: &K, value: V) -> Result<Option<V>, WriteError>;
    async fn delete(&self, key: &K) -> Result<(), WriteError>;
}

pub(crate) struct Erased<W>(pub(crate) W);

#[async_trait]
impl<K: Sync, V: Send + Sync + 'static, W: Writer<K, V>> AnyWriter<K, V> for Erased<W> {
    async fn create(&self, value: &V) -> Result<K, WriteError> {
        self.0.create(value).await.map_err(Into::into)
    }

    async fn update(&self, key: &K, value: V) -> Result<Option<V>, WriteError> {
        self.0.update(key, value).await.map_err(Into::into)
    }

    async fn delete(&self, key: &K) -> Result<(), WriteError> {
        self.0.delete(key).await.map_err(Into::into)
    }
}
