//! The store.

use std::{
    fmt,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use larder_store::{
    Cursor, Error, Key, Page, Ready, Reply, Result, Store, Subscription, Timestamp, Update, Write,
};
use quick_cache::{
    DefaultHashBuilder,
    sync::{Cache, DefaultLifecycle, EntryAction, EntryResult, PlaceholderGuard},
};

use crate::{
    MemoryStoreBuilder,
    clock::Clock,
    entry::{Entry, Weight, expiry, new_expiry},
    subscribers::Subscribers,
};

/// How many writers of different keys can work at once.
const STRIPES: usize = 64;
/// The longest value, in bytes, that is changed where it lies.
const SMALL: usize = 1_024;

/// A store in this process: bounded, concurrent, gone with the process. Cloning gives another handle on the
/// same records.
///
/// It keeps the entries that are used (S3-FIFO, as quick_cache implements it) and forgets the others once it
/// is full. `get` takes a shard's read lock and the coarse clock. An update of a record up to 1 KiB that stays so, or by bytes
/// doesn't grow, takes the shard's write lock alone; the other writes take one of 64 locks besides.
/// No method waits for anything, so no future of it ever pends.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

/// Where a record can be put that isn't there.
type Place<'a> =
    PlaceholderGuard<'a, Key, Entry, Weight, DefaultHashBuilder, DefaultLifecycle<Key, Entry>>;

struct Inner {
    entries: Cache<Key, Entry, Weight>,
    /// Held by writers from the look at a record to its change, so that the two are one step. Readers don't
    /// take it, nor does who changes a small record where it lies: the map itself changes at once.
    stripes: Box<[Mutex<()>]>,
    hasher: DefaultHashBuilder,
    subscribers: Arc<Subscribers>,
    clock: Clock,
    max_value_len: usize,
    /// How long a record may become where it lies. By bytes it doesn't grow there: others would have to go.
    growth: usize,
}

impl MemoryStore {
    /// A store for up to `max_entries` entries, at least one.
    #[must_use]
    pub fn new(max_entries: u64) -> Self {
        Self::with(&Self::builder().max_entries(max_entries.max(1)))
    }

    /// Settings: a capacity in bytes, the largest value.
    #[must_use]
    pub const fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::new()
    }

    pub(crate) fn with(settings: &MemoryStoreBuilder) -> Self {
        let estimated = match settings.weight {
            Weight::Entries => settings.capacity,
            Weight::Bytes => settings.capacity / 256,
        };
        let hasher = DefaultHashBuilder::default();
        let entries = Cache::with(
            usize::try_from(estimated.clamp(1, 1 << 20)).unwrap_or(1),
            settings.capacity,
            settings.weight,
            hasher.clone(),
            DefaultLifecycle::default(),
        );
        // The map never keeps what is larger than one of its shards: say so instead of losing it.
        let largest = match settings.weight {
            Weight::Entries => settings.max_value_len,
            Weight::Bytes => {
                let shard = usize::try_from(entries.shard_capacity()).unwrap_or(usize::MAX);
                settings.max_value_len.min(shard / 10 * 9)
            }
        };
        Self {
            inner: Arc::new(Inner {
                entries,
                stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
                hasher,
                subscribers: Arc::default(),
                clock: Clock::start(),
                max_value_len: largest,
                growth: match settings.weight {
                    Weight::Entries => largest.min(SMALL),
                    Weight::Bytes => 0,
                },
            }),
        }
    }

    /// How many entries it holds, expired ones that nobody looked at since included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.entries.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.entries.is_empty()
    }

    /// How many keys somebody listens to.
    #[must_use]
    pub fn subscribed_keys(&self) -> usize {
        self.inner.subscribers.len()
    }
}

impl Inner {
    fn get(&self, key: &Key) -> Option<Bytes> {
        self.get_at(key, self.clock.coarse())
    }

    fn get_at(&self, key: &Key, now: Timestamp) -> Option<Bytes> {
        let entry = self.entries.get(key)?;
        if entry.is_live(now) {
            return Some(entry.value);
        }
        self.entries.remove_if(key, |entry| !entry.is_live(now));
        None
    }

    fn set(&self, key: &Key, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.check(&value)?;
        let _writing = self.write_lock(key);
        self.put(key, Entry::new(value, expiry(self.clock.now(), ttl)));
        Ok(())
    }

    fn delete(&self, key: &Key) -> bool {
        let _writing = self.write_lock(key);
        let now = self.clock.now();
        self.entries
            .remove(key)
            .is_some_and(|(_, entry)| entry.is_live(now))
    }

    /// What most updates are takes one look-up under the map's own lock: a small record stays or becomes another one where it
    /// lies, and nobody is told. Everything else has to keep out other writers of the key, from the look at the record to its
    /// change.
    fn update(&self, key: &Key, update: &Update) -> Result<Reply> {
        let mut reply = None;
        let found = self.entries.entry(key, Some(Duration::ZERO), |_, entry| {
            // Large ones would keep the map's readers waiting.
            if entry.value.len() <= SMALL && !entry.locked {
                let now = self.clock.now();
                let mut outcome = update.apply(entry.live(now), now);
                if outcome.notify.is_none()
                    && entry.write_in_place(&mut outcome.write, self.growth, now)
                {
                    reply = Some(outcome.reply);
                }
            }
            EntryAction::Retain(())
        });
        if let Some(reply) = reply {
            return Ok(reply);
        }
        if let EntryResult::Vacant(place) = found
            // Who has the lock may wait for the place.
            && let Some(_writing) = self.try_write_lock(key)
            && let Some(reply) = self.update_vacant(key, place, update)
        {
            return reply;
        }
        self.update_locked(key, update)
    }

    fn update_locked(&self, key: &Key, update: &Update) -> Result<Reply> {
        let _writing = self.write_lock(key);
        loop {
            let found = self.entries.entry(key, None, |_, entry| {
                entry.locked = true;
                EntryAction::Retain(entry.clone())
            });
            match found {
                EntryResult::Retained(entry) => return self.update_entry(key, &entry, update),
                EntryResult::Vacant(place) => {
                    if let Some(reply) = self.update_vacant(key, place, update) {
                        return reply;
                    }
                }
                // Nobody asked for these.
                EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => {}
            }
        }
    }

    /// With the key's lock. `None` if there is a record by now.
    fn update_vacant(&self, key: &Key, place: Place<'_>, update: &Update) -> Option<Result<Reply>> {
        let now = self.clock.now();
        let outcome = update.apply(None, now);
        if let Write::Set(bytes, ttl) | Write::SetOrDelete(bytes, ttl) = outcome.write {
            if let Err(error) = self.check(&bytes) {
                return Some(Err(error));
            }
            let entry = Entry::new(bytes, new_expiry(None, ttl, now));
            place.insert(entry).ok()?;
        }
        self.notify(key, outcome.notify);
        Some(Ok(outcome.reply))
    }

    /// With the key's lock, and the mark of it on the entry.
    fn update_entry(&self, key: &Key, entry: &Entry, update: &Update) -> Result<Reply> {
        let now = self.clock.now();
        let outcome = update.apply(entry.live(now), now);
        match outcome.write {
            Write::Keep if entry.is_live(now) => self.unlock(key),
            Write::Keep | Write::Delete => drop(self.entries.remove(key)),
            Write::Set(bytes, ttl) | Write::SetOrDelete(bytes, ttl) => {
                if let Err(error) = self.check(&bytes) {
                    self.unlock(key);
                    return Err(error);
                }
                self.put(key, Entry::new(bytes, new_expiry(Some(entry), ttl, now)));
            }
        }
        self.notify(key, outcome.notify);
        Ok(outcome.reply)
    }

    /// The entry stays after all.
    fn unlock(&self, key: &Key) {
        self.entries.entry(key, Some(Duration::ZERO), |_, entry| {
            entry.locked = false;
            EntryAction::Retain(())
        });
    }

    fn notify(&self, key: &Key, message: Option<Bytes>) {
        if let Some(message) = message {
            self.subscribers.notify(key, message);
        }
    }

    fn put(&self, key: &Key, entry: Entry) {
        self.entries.insert(key.clone(), entry);
    }

    fn check(&self, value: &Bytes) -> Result<()> {
        if value.len() <= self.max_value_len {
            return Ok(());
        }
        Err(Error::value_too_large(value.len(), self.max_value_len))
    }

    fn write_lock(&self, key: &Key) -> MutexGuard<'_, ()> {
        lock(self.stripe(key))
    }

    fn try_write_lock(&self, key: &Key) -> Option<MutexGuard<'_, ()>> {
        match self.stripe(key).try_lock() {
            Ok(writing) => Some(writing),
            Err(TryLockError::Poisoned(writing)) => Some(writing.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn stripe(&self, key: &Key) -> &Mutex<()> {
        &self.stripes[self.hasher.hash_one(key) as usize % STRIPES]
    }
}

fn lock(stripe: &Mutex<()>) -> MutexGuard<'_, ()> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.inner.get(key))
    }

    fn get_ready(&self, key: &Key) -> Option<Ready> {
        let now = self.inner.clock.coarse();
        let record = self.inner.get_at(key, now);
        Some(Ready { record, now })
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        Ok(keys.iter().map(|key| self.inner.get(key)).collect())
    }

    async fn set(&self, key: &Key, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.inner.set(key, value, ttl)
    }

    async fn set_many(&self, entries: &[(Key, Bytes)], ttl: Option<Duration>) -> Result<()> {
        entries
            .iter()
            .try_for_each(|(key, value)| self.inner.set(key, value.clone(), ttl))
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64> {
        let deleted = keys.iter().filter(|key| self.inner.delete(key)).count();
        Ok(deleted as u64)
    }

    /// All keys are on the first page. Looks at every entry, whatever its key, and keeps out who adds or deletes one.
    async fn scan(&self, prefix: &[u8], _cursor: Option<Cursor>) -> Result<Page> {
        // Between a writer's look and its change the map may have let the record go: it must not be passed by then.
        let _writing: Vec<_> = self.inner.stripes.iter().map(lock).collect();
        let keys = self.inner.entries.iter().map(|(key, _)| key);
        Ok(Page {
            keys: keys.filter(|key| key.starts_with(prefix)).collect(),
            next: None,
        })
    }

    async fn update(&self, key: &Key, update: &Update) -> Result<Reply> {
        self.inner.update(key, update)
    }

    fn update_ready(&self, key: &Key, update: &Update) -> Option<Result<Reply>> {
        Some(self.inner.update(key, update))
    }

    async fn update_many(&self, updates: &[(Key, Update)]) -> Result<Vec<Result<Reply>>> {
        let run = |(key, update): &(Key, Update)| self.inner.update(key, update);
        Ok(updates.iter().map(run).collect())
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription> {
        Ok(self.inner.subscribers.subscribe(key))
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.inner.clock.coarse())
    }
}

impl From<MemoryStore> for Arc<dyn Store> {
    fn from(store: MemoryStore) -> Self {
        Arc::new(store)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}
