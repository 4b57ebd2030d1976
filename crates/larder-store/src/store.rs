//! The trait.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Cursor, Key, Page, Reply, Result, Subscription, Timestamp, Update};

/// A place that keeps bytes under keys, each for its time to live, and changes one record atomically.
///
/// # For users
/// Hold it as `Arc<dyn Store>`; every store converts into one. Records may vanish at any moment (eviction,
/// restart, expiry). After an error of kind [`Timeout`](crate::ErrorKind::Timeout) or
/// [`Unavailable`](crate::ErrorKind::Unavailable) a write may have been applied, or may still be applied
/// later, once. [`StoreExt`](crate::StoreExt) has typed updates.
///
/// # For implementers
/// - Every method answers within a deadline of its own and may be dropped at any await.
/// - No method sends a write a second time on its own after it may have been applied.
/// - Keys up to [`Key::MAX_LEN`] bytes are accepted, and values up to a limit that the store documents;
///   over it: [`ValueTooLarge`](crate::ErrorKind::ValueTooLarge), with nothing changed.
/// - A time to live is kept in whole milliseconds, rounded up, at least one. An expired record is
///   absent to every method.
/// - Neither keys nor values appear in errors, logs or `Debug`.
///
/// `larder-testing` has a conformance suite; run it in your tests.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The record, or `None`.
    ///
    /// # Errors
    /// [`WrongType`](crate::ErrorKind::WrongType) if another type of value is kept there.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// What [`get`](Self::get) would answer, if that is known without waiting: what a store in this process
    /// answers always, and one across a network never. It saves the boxed future, which costs as much as the
    /// look-up itself.
    fn get_ready(&self, key: &Key) -> Option<Ready>;

    /// The records in the order of the keys; `None` where there is none or it isn't a byte string. One
    /// round trip.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>>;

    /// Writes a record, whatever was there. Without a time to live it stays until it is evicted.
    async fn set(&self, key: &Key, value: Bytes, ttl: Option<Duration>) -> Result<()>;

    /// Writes several records in one round trip; not atomic as a whole. After an error any of them may have
    /// been written.
    async fn set_many(&self, entries: &[(Key, Bytes)], ttl: Option<Duration>) -> Result<()>;

    /// Deletes records, of any type, in one round trip, and says how many there were. Deleting a missing key
    /// succeeds.
    async fn delete(&self, keys: &[Key]) -> Result<u64>;

    /// The keys of records that start with `prefix`, a page at a time: the first one for the cursor `None`, and each
    /// next one for the cursor that came with the last, until none comes. Keys may come twice. A record that is there
    /// from the first call to the last is on one of the pages; one that comes or goes meanwhile may be.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) also if the store can't promise that any more, since the server may
    /// be another one than for the first page: start anew.
    async fn scan(&self, prefix: &[u8], cursor: Option<Cursor>) -> Result<Page>;

    /// Runs one atomic step over one record. One round trip.
    ///
    /// # Errors
    /// [`WrongType`](crate::ErrorKind::WrongType) if another type of value is kept there; it is left alone.
    async fn update(&self, key: &Key, update: &Update) -> Result<Reply>;

    /// What [`update`](Self::update) would do and answer, if that can be done without waiting: what a store in this process does
    /// always, and one across a network never. It saves the boxed future.
    fn update_ready(&self, key: &Key, update: &Update) -> Option<Result<Reply>>;

    /// Runs several updates in one round trip, each atomic by itself, those of one script in this order. The
    /// outer error means that none is known to have run; an inner one concerns that update only.
    async fn update_many(&self, updates: &[(Key, Update)]) -> Result<Vec<Result<Reply>>>;

    /// Listens to what updates of this key announce. Whatever is announced after this returned is heard,
    /// or an [`Event::Gap`](crate::Event::Gap) is.
    async fn subscribe(&self, key: &Key) -> Result<Subscription>;

    /// Asks whether the store answers.
    async fn ping(&self) -> Result<()>;

    /// The store's time as far as it is known here without asking, or `None` before the first answer.
    /// Good to some milliseconds: for judging ages, not for deciding who may write.
    fn now(&self) -> Option<Timestamp>;
}

/// What a store in this process has, and at what time: whoever looks at a record wants to know its age.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The record, or `None`.
    pub record: Option<Bytes>,
    /// The store's time.
    pub now: Timestamp,
}
