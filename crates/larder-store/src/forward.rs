//! `Arc<S>` is a store.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Cursor, Key, Page, Ready, Reply, Result, Store, Subscription, Timestamp, Update};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        (**self).get(key).await
    }

    fn update_ready(&self, key: &Key, update: &Update) -> Option<Result<Reply>> {
        (**self).update_ready(key, update)
    }

    fn get_ready(&self, key: &Key) -> Option<Ready> {
        (**self).get_ready(key)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        (**self).get_many(keys).await
    }

    async fn set(&self, key: &Key, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        (**self).set(key, value, ttl).await
    }

    async fn set_many(&self, entries: &[(Key, Bytes)], ttl: Option<Duration>) -> Result<()> {
        (**self).set_many(entries, ttl).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64> {
        (**self).delete(keys).await
    }

    async fn scan(&self, prefix: &[u8], cursor: Option<Cursor>) -> Result<Page> {
        (**self).scan(prefix, cursor).await
    }

    async fn update(&self, key: &Key, update: &Update) -> Result<Reply> {
        (**self).update(key, update).await
    }

    async fn update_many(&self, updates: &[(Key, Update)]) -> Result<Vec<Result<Reply>>> {
        (**self).update_many(updates).await
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription> {
        (**self).subscribe(key).await
    }

    async fn ping(&self) -> Result<()> {
        (**self).ping().await
    }

    fn now(&self) -> Option<Timestamp> {
        (**self).now()
    }
}
