//! `Arc<S>` is a store.
//!
//! Users hold stores as `Arc<dyn Store>`, so that every call of theirs comes through here: it passes the store's own future on,
//! where an `async fn` would put it into a second box.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{Cursor, Key, Page, Ready, Reply, Result, Store, Subscription, Timestamp, Update};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// The methods as `async_trait` writes them, each with the lifetimes of its arguments. Where it comes to write them in another way
/// this doesn't compile any more.
macro_rules! forward {
    ($(fn $name:ident<$($life:lifetime),*>($($arg:ident: $type:ty),*) -> $output:ty;)*) => {$(
        fn $name<'life0, $($life,)* 'async_trait>(
            &'life0 self,
            $($arg: $type),*
        ) -> Boxed<'async_trait, $output>
        where
            'life0: 'async_trait,
            $($life: 'async_trait,)*
            Self: 'async_trait,
        {
            (**self).$name($($arg),*)
        }
    )*};
}

#[deny(clippy::missing_trait_methods)]
impl<S: Store + ?Sized> Store for Arc<S> {
    forward! {
        fn get<'a>(key: &'a Key) -> Option<Bytes>;
        fn get_many<'a>(keys: &'a [Key]) -> Vec<Option<Bytes>>;
        fn set<'a>(key: &'a Key, value: Bytes, ttl: Option<Duration>) -> ();
        fn set_many<'a>(entries: &'a [(Key, Bytes)], ttl: Option<Duration>) -> ();
        fn delete<'a>(keys: &'a [Key]) -> u64;
        fn scan<'a>(prefix: &'a [u8], cursor: Option<Cursor>) -> Page;
        fn update<'a, 'b>(key: &'a Key, update: &'b Update) -> Reply;
        fn update_many<'a>(updates: &'a [(Key, Update)]) -> Vec<Result<Reply>>;
        fn subscribe<'a>(key: &'a Key) -> Subscription;
        fn ping<>() -> ();
    }

    fn get_ready(&self, key: &Key) -> Option<Ready> {
        (**self).get_ready(key)
    }

    fn update_ready(&self, key: &Key, update: &Update) -> Option<Result<Reply>> {
        (**self).update_ready(key, update)
    }

    fn now(&self) -> Option<Timestamp> {
        (**self).now()
    }
}
