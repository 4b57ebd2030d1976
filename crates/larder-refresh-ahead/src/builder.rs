//! Settings of a refresh-ahead cache.

use std::{sync::Arc, time::Duration};

use larder_cache::{CacheKey, Codec, Error, ErrorKind, Loader, Result};
use larder_coalesce::{Coalesce, CoalesceBuilder, Overload};
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::{RefreshAhead, due::Due, refreshes::Limits};

/// Settings of a [`RefreshAhead`]; from [`RefreshAhead::builder`].
#[derive(Debug)]
pub struct RefreshAheadBuilder<K, V> {
    misses: CoalesceBuilder<K, V>,
    due: Due,
    stale_while_revalidate: Duration,
    limits: Limits,
}

larder_cache::keyspace_settings!(RefreshAheadBuilder, misses);

impl<K, V: Serialize + DeserializeOwned> RefreshAheadBuilder<K, V> {
    pub(crate) fn new(store: impl Into<Arc<dyn Store>>, name: &str) -> Self {
        Self::over(Coalesce::builder(store, name))
    }
}

impl<K, V> RefreshAheadBuilder<K, V> {
    pub(crate) fn with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> Self {
        Self::over(Coalesce::builder_with_codec(store, name, codec))
    }

    fn over(misses: CoalesceBuilder<K, V>) -> Self {
        Self {
            misses,
            due: Due::At(0.8),
            stale_while_revalidate: Duration::ZERO,
            limits: Limits {
                running: 64,
                backoff: Duration::from_secs(1),
                longest_backoff: Duration::from_secs(30),
            },
        }
    }

    /// An entry is due when this share of its TTL is over. Between 0.0 and 1.0; at 0.0 every read
    /// refreshes. The default: 0.8.
    #[must_use]
    pub fn refresh_at(mut self, share: f64) -> Self {
        self.due = Due::At(share);
        self
    }

    /// An entry is due so long before it expires, and not before half of its TTL is over.
    #[must_use]
    pub fn refresh_before(mut self, margin: Duration) -> Self {
        self.due = Due::Before(margin);
        self
    }

    /// An entry is due by lot, the likelier the nearer its end is and the longer its load took (XFetch, Vattani et al.,
    /// VLDB 2015). `beta` is 1.0 in the paper; a higher one refreshes earlier. The hotter a key, the more lots are drawn:
    /// seldom read keys are left to expire, and now and then a hot one is too: with 100 reads a second and a load of 0.2 s,
    /// one period in some 1,800 for a `beta` of 1.0, and none in 10^10 for 2.0.
    #[must_use]
    pub fn early(mut self, beta: f64) -> Self {
        self.due = Due::Early(beta);
        self
    }

    /// For this long past its TTL an entry is served at once, and loaded again in the background. After that, within
    /// the [`grace`](Self::grace), callers wait for the load, and get the stale entry if it fails. The default: zero.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// How many refreshes may be under way in this process. Entries that are due beyond that stay so. The default: 64.
    #[must_use]
    pub fn max_refreshes(mut self, refreshes: usize) -> Self {
        self.limits.running = refreshes;
        self
    }

    /// How long to leave an entry alone after its refresh failed; the time doubles with each failure, up to `longest`.
    /// The default: 1 s, up to 30 s.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.limits.backoff = first;
        self.limits.longest_backoff = longest;
        self
    }

    /// On a miss: as [`CoalesceBuilder::wait_timeout`].
    #[must_use]
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.misses = self.misses.wait_timeout(timeout);
        self
    }

    /// On a miss: as [`CoalesceBuilder::max_keys`].
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.misses = self.misses.max_keys(keys);
        self
    }

    /// On a miss: as [`CoalesceBuilder::max_followers`].
    #[must_use]
    pub fn max_followers(mut self, followers: u32) -> Self {
        self.misses = self.misses.max_followers(followers);
        self
    }

    /// On a miss: as [`CoalesceBuilder::overload`].
    #[must_use]
    pub fn overload(mut self, overload: Overload) -> Self {
        self.misses = self.misses.overload(overload);
        self
    }

    /// The cache, with this loader for what isn't there or is due.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](larder_cache::ErrorKind::Config) as for [`CoalesceBuilder::build`], and for a share
    /// outside of 0.0 to 1.0, a `beta` that isn't above zero, or no refreshes at all.
    pub fn build(self, loader: impl Loader<K, V>) -> Result<RefreshAhead<K, V>>
    where
        K: CacheKey + Clone + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        let bad = |message| Err(Error::new(ErrorKind::Config, message));
        match self.due {
            Due::At(share) if !(0.0..=1.0).contains(&share) => {
                return bad("refresh_at takes a share of the TTL, between 0.0 and 1.0");
            }
            Due::Early(beta) if !(beta.is_finite() && beta > 0.0) => {
                return bad("early takes a beta above zero; 1.0 is the usual one");
            }
            _ if self.limits.running == 0 => return bad("no refresh at all is allowed"),
            _ => {}
        }
        let misses = self
            .misses
            .grace_at_least(self.stale_while_revalidate)
            .build(loader)?;
        Ok(RefreshAhead::new(
            misses,
            self.due,
            self.stale_while_revalidate,
            self.limits,
        ))
    }
}
