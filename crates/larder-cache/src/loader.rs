//! Where values come from on a miss.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use larder_store::BoxError;

/// How many loads the default [`Loader::load_many`] runs at once.
const CONCURRENT_LOADS: usize = 16;

/// Reads the origin, usually a database.
///
/// Every `Fn(K) -> impl Future<Output = Result<Option<V>, E>>` is one. Implement the trait for loading many
/// keys with one query, or for a time to live that depends on the value:
///
/// ```
/// use std::{collections::HashMap, io, time::Duration};
/// use larder_cache::{Loader, async_trait};
///
/// struct Prices(HashMap<u32, u64>);
///
/// #[async_trait]
/// impl Loader<u32, u64> for Prices {
///     type Error = io::Error;
///
///     async fn load(&self, article: &u32) -> Result<Option<u64>, io::Error> {
///         Ok(self.0.get(article).copied())
///     }
///
///     fn ttl(&self, _article: &u32, price: Option<&u64>) -> Option<Duration> {
///         price.is_none().then_some(Duration::from_secs(5))
///     }
/// }
/// ```
///
/// # Cancellation and panics
/// A load is dropped at any await if its caller goes away or its timeout passes. A panic reaches the caller;
/// the key is free again at once.
#[async_trait]
pub trait Loader<K, V>: Send + Sync + 'static {
    /// What a failed load returns; callers find it with [`Error::loader_error`](crate::Error::loader_error).
    type Error: Into<BoxError> + Send;

    /// The value of this key, or `None` if the origin has none.
    async fn load(&self, key: &K) -> Result<Option<V>, Self::Error>;

    /// The values of these keys, in their order. The default loads one by one, 16 at once; one query is
    /// better.
    async fn load_many(&self, keys: &[K]) -> Result<Vec<Option<V>>, Self::Error>
    where
        K: Sync,
        V: Send,
    {
        let mut loads = Vec::with_capacity(keys.len());
        for key in keys {
            loads.push(self.load(key));
        }
        stream::iter(loads)
            .buffered(CONCURRENT_LOADS)
            .try_collect()
            .await
    }

    /// How long this value counts as fresh, instead of the keyspace's TTL; `value` is `None` for a negative
    /// entry. The default: the keyspace's.
    fn ttl(&self, key: &K, value: Option<&V>) -> Option<Duration> {
        let _ = (key, value);
        None
    }
}

#[async_trait]
impl<K, V, F, Fut, E> Loader<K, V> for F
where
    K: Clone + Sync + 'static,
    V: 'static,
    F: Fn(K) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<V>, E>> + Send,
    E: Into<BoxError> + Send,
{
    type Error = E;

    async fn load(&self, key: &K) -> Result<Option<V>, E> {
        self(key.clone()).await
    }
}

/// A loader whatever its error type.
#[async_trait]
pub(crate) trait AnyLoader<K, V>: Send + Sync {
    async fn load(&self, key: &K) -> Result<Option<V>, BoxError>;
    async fn load_many(&self, keys: &[K]) -> Result<Vec<Option<V>>, BoxError>;
    fn ttl(&self, key: &K, value: Option<&V>) -> Option<Duration>;
}

struct Erased<L>(L);

#[async_trait]
impl<K: Sync, V: Send, L: Loader<K, V>> AnyLoader<K, V> for Erased<L> {
    async fn load(&self, key: &K) -> Result<Option<V>, BoxError> {
        self.0.load(key).await.map_err(Into::into)
    }

    async fn load_many(&self, keys: &[K]) -> Result<Vec<Option<V>>, BoxError> {
        self.0.load_many(keys).await.map_err(Into::into)
    }

    fn ttl(&self, key: &K, value: Option<&V>) -> Option<Duration> {
        self.0.ttl(key, value)
    }
}

pub(crate) fn erase<K: Sync + 'static, V: Send + 'static>(
    loader: impl Loader<K, V>,
) -> Arc<dyn AnyLoader<K, V>> {
    Arc::new(Erased(loader))
}
