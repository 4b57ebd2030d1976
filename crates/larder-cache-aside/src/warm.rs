//! Filling the cache before readers come.

use std::{fmt, sync::Arc};

use futures_util::{StreamExt, stream};
use larder_cache::{CacheKey, Error};

use crate::CacheAside;

type Watcher = Arc<dyn Fn(&WarmProgress) + Send + Sync>;

/// A warming that has not begun yet; from [`CacheAside::warm`].
#[must_use = "nothing happens before `run`"]
pub struct Warming<K, V> {
    cache: CacheAside<K, V>,
    keys: Vec<K>,
    batch: usize,
    concurrency: usize,
    watcher: Option<Watcher>,
}

/// How far a warming has come.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WarmProgress {
    /// Keys to warm.
    pub total: u64,
    /// Keys that are done, loaded or not.
    pub done: u64,
    /// Keys that were loaded and stored; the others were there already, were being loaded or written by
    /// others, or failed.
    pub loaded: u64,
    /// Keys that could not be loaded, or not be stored because the store failed.
    pub failed: u64,
    /// The last failure.
    pub error: Option<Error>,
}

impl<K, V> CacheAside<K, V> {
    /// Loads the keys that aren't there, in batches, a few at once. Like every load it needs the lease, so
    /// warming never overwrites anything and can run beside readers and writers.
    pub fn warm(&self, keys: impl IntoIterator<Item = K>) -> Warming<K, V> {
        Warming {
            cache: self.clone(),
            keys: keys.into_iter().collect(),
            batch: 100,
            concurrency: 4,
            watcher: None,
        }
    }
}

impl<K, V> Warming<K, V> {
    /// Keys a batch, which is one `load_many`. The default: 100.
    pub fn batch(mut self, keys: usize) -> Self {
        self.batch = keys.max(1);
        self
    }

    /// Batches at once. The default: 4.
    pub fn concurrency(mut self, batches: usize) -> Self {
        self.concurrency = batches.max(1);
        self
    }

    /// Calls this after each batch: for a progress bar or a log.
    pub fn on_progress(mut self, watcher: impl Fn(&WarmProgress) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Arc::new(watcher));
        self
    }
}

impl<K, V> Warming<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Runs it. A batch that fails is counted, and the others go on.
    ///
    /// # Cancellation
    /// Dropping the future stops the warming; what was stored stays.
    pub async fn run(self) -> WarmProgress {
        let mut progress = WarmProgress {
            total: self.keys.len() as u64,
            ..WarmProgress::default()
        };
        let cache = &self.cache;
        let mut loads = Vec::new();
        for keys in self.keys.chunks(self.batch) {
            loads.push(async move { (keys.len() as u64, cache.read_many(keys).await) });
        }
        let mut batches = stream::iter(loads).buffer_unordered(self.concurrency);
        while let Some((keys, read)) = batches.next().await {
            progress.done += keys;
            match read {
                Ok(answers) => {
                    progress.loaded += answers.stored;
                    if let Some(error) = answers.store_error {
                        progress.failed += answers.unstored;
                        progress.error = Some(error);
                    }
                }
                Err(error) => {
                    progress.failed += keys;
                    progress.error = Some(error);
                }
            }
            if let Some(watcher) = &self.watcher {
                watcher(&progress);
            }
        }
        progress
    }
}

impl<K, V> fmt::Debug for Warming<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warming")
            .field("keys", &self.keys.len())
            .field("batch", &self.batch)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
