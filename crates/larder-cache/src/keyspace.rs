//! A named, typed region of a store.

mod claim;
mod codec;
mod invalidate;
mod lease;
mod lookup;
mod put_if_newer;
mod wait;
mod write;

pub use claim::Claim;
pub use lease::{Filled, Lease, Leased};
pub use lookup::{Busy, Entry, Lookup, NotReady, Vacancy};
pub use write::{CacheState, WriteError, Written, WrittenMany};

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use larder_store::{CacheKey, Key, Namespace, Store};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    Error, ErrorKind, Result, Stats, builder::Settings, codec::Codec, outbox::Outbox,
    stats::Counters,
};

/// How long [`Keyspace::shutdown`] waits for what is still under way.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How many tasks of patterns may be under way.
const MOST_TASKS: usize = 1024;

/// A named, typed region of a store: it encodes keys and values, owns expiry, and speaks the lease protocol.
///
/// Applications use it through a pattern; a new pattern is a policy over these steps. Cloning gives
/// another handle on the same keyspace.
pub struct Keyspace<K, V> {
    core: Arc<Core>,
    codec: Arc<dyn Codec<V>>,
    /// The codec's own, asked once.
    codec_id: u8,
    row_version: Option<RowVersion<V>>,
    keys: PhantomData<fn(&K)>,
}

/// How to tell the database's version of a row.
pub(crate) type RowVersion<V> = Arc<dyn Fn(&V) -> u64 + Send + Sync>;

/// What doesn't depend on the types.
struct Core {
    store: Arc<dyn Store>,
    namespace: Namespace,
    settings: Settings,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    outbox: Arc<Outbox>,
}

impl<K, V: 'static> Keyspace<K, V> {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        namespace: Namespace,
        codec: Arc<dyn Codec<V>>,
        row_version: Option<RowVersion<V>>,
        settings: Settings,
    ) -> Self {
        let counters = Arc::<Counters>::default();
        let tasks = TaskTracker::new();
        let outbox = Outbox::new(Arc::clone(&store), Arc::clone(&counters), tasks.clone());
        Self {
            core: Arc::new(Core {
                store,
                namespace,
                settings,
                counters,
                tasks,
                outbox: Arc::new(outbox),
            }),
            codec_id: codec.id(),
            codec,
            row_version,
            keys: PhantomData,
        }
    }
}

impl<K, V> Keyspace<K, V> {
    /// The same keyspace for other keys, as for what knows its records by their address only.
    fn of_keys<L>(&self) -> Keyspace<L, V> {
        Keyspace {
            core: Arc::clone(&self.core),
            codec: Arc::clone(&self.codec),
            codec_id: self.codec_id,
            row_version: self.row_version.clone(),
            keys: PhantomData,
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.counters.snapshot()
    }

    /// How many invalidations wait until the store can be told.
    #[must_use]
    pub fn deferred(&self) -> usize {
        self.core.outbox.pending()
    }

    /// Waits for what is under way in the background, for 5 s at the most. The keyspace can still be used.
    ///
    /// # Errors
    /// [`ErrorKind::Deferred`] if invalidations could not be sent by then.
    pub async fn shutdown(&self) -> Result<()> {
        self.core.tasks.close();
        // What is left when the time is up shows in the count.
        let _ = timeout(SHUTDOWN, self.core.tasks.wait()).await;
        self.core.tasks.reopen();
        match self.deferred() {
            0 => Ok(()),
            left => Err(Error::new(
                ErrorKind::Deferred,
                format!("{left} invalidations could not be sent before the shutdown"),
            )),
        }
    }

    /// Runs a task that belongs to this keyspace: [`shutdown`](Self::shutdown) waits for it. Says whether it
    /// does: not without a runtime, and 1024 are under way at the most.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        match Handle::try_current() {
            Ok(runtime) if self.core.tasks.len() < MOST_TASKS => {
                self.core.tasks.spawn_on(task, &runtime);
                true
            }
            _ => false,
        }
    }

    /// How many tasks of this keyspace are under way.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.core.tasks.len()
    }

    /// Counts an answer that came from an entry past its TTL.
    pub fn count_stale_served(&self) {
        self.core.counters.stale_served.increment();
    }

    /// Counts a refresh that failed.
    pub fn count_refresh_error(&self) {
        self.core.counters.refresh_errors.increment();
    }

    /// Counts an answer that came from another caller's load.
    pub fn count_coalesced(&self) {
        self.core.counters.coalesced.increment();
    }

    /// How long a load may take.
    pub(crate) fn load_timeout(&self) -> Duration {
        self.core.settings.load_timeout
    }

    /// How long a lease lives if its holder vanishes.
    #[must_use]
    pub fn lease_lifetime(&self) -> Duration {
        self.core.settings.lease
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.core.counters
    }
}

impl Core {
    /// Counts a failure of the store and makes it the cache's.
    fn store_failed(&self, error: larder_store::Error) -> Error {
        self.counters.store_errors.increment();
        error.into()
    }
}

impl<K: CacheKey, V> Keyspace<K, V> {
    /// Where this key's record is.
    ///
    /// # Errors
    /// [`KeyTooLong`](larder_store::ErrorKind::KeyTooLong).
    pub fn address(&self, key: &K) -> larder_store::Result<Key> {
        self.core.namespace.key(key)
    }
}

impl<K, V> Clone for Keyspace<K, V> {
    fn clone(&self) -> Self {
        self.of_keys()
    }
}

impl<K, V> fmt::Debug for Keyspace<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace")
            .field("namespace", &self.core.namespace)
            .field("store", &self.core.store)
            .finish_non_exhaustive()
    }
}
