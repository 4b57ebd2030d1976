//! Settings of a coalescing cache.

use std::{sync::Arc, time::Duration};

use larder_cache::{CacheKey, Codec, KeyspaceBuilder, Loader, Origin, Result};
use larder_store::Store;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Coalesce, Overload,
    flights::{LONGEST_WAIT, Limits},
};

/// How much longer than a lease to wait for whoever holds it: long enough to see that it is gone.
const BEYOND_THE_LEASE: Duration = Duration::from_secs(1);

/// Settings of a [`Coalesce`]; from [`Coalesce::builder`].
#[derive(Debug)]
pub struct CoalesceBuilder<K, V> {
    keyspace: KeyspaceBuilder<K, V>,
    limits: Limits,
    wait_timeout: Option<Duration>,
    overload: Overload,
}

larder_cache::keyspace_settings!(CoalesceBuilder, keyspace);

impl<K, V: Serialize + DeserializeOwned> CoalesceBuilder<K, V> {
    pub(crate) fn new(store: impl Into<Arc<dyn Store>>, name: &str) -> Self {
        Self::over(KeyspaceBuilder::new(store, name))
    }
}

impl<K, V> CoalesceBuilder<K, V> {
    pub(crate) fn with_codec(
        store: impl Into<Arc<dyn Store>>,
        name: &str,
        codec: impl Codec<V>,
    ) -> Self {
        Self::over(KeyspaceBuilder::with_codec(store, name, codec))
    }

    fn over(keyspace: KeyspaceBuilder<K, V>) -> Self {
        Self {
            keyspace,
            limits: Limits::DEFAULT,
            wait_timeout: None,
            overload: Overload::Bypass,
        }
    }

    /// A grace no shorter than this, for patterns that need one.
    #[must_use]
    pub fn grace_at_least(mut self, grace: Duration) -> Self {
        self.keyspace = self.keyspace.grace_at_least(grace);
        self
    }

    /// How long to wait for loads in other processes; after that the load is done without the store, once in this
    /// process. The default: a second longer than the [`lease`](Self::lease), so that a holder that vanished is
    /// outlived. Callers in the same process wait for as long as the load may take, and a second longer than this for a
    /// leader that hangs.
    #[must_use]
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.wait_timeout = Some(timeout);
        self
    }

    /// How many keys may be loaded or waited for at once. The default: 10,000.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.limits.flights = keys;
        self
    }

    /// How many callers may wait for one key. The default: 10,000.
    #[must_use]
    pub fn max_followers(mut self, followers: u32) -> Self {
        self.limits.followers = followers;
        self
    }

    /// What happens to callers over these limits. The default, [`Overload::Bypass`]: they load by themselves.
    #[must_use]
    pub fn overload(mut self, overload: Overload) -> Self {
        self.overload = overload;
        self
    }

    /// The cache, with this loader for what isn't there.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](larder_cache::ErrorKind::Config) for a bad name, a TTL, load timeout or hold of zero,
    /// a lease shorter than the load timeout, or a jitter outside of 0.0 to 1.0.
    pub fn build(self, loader: impl Loader<K, V>) -> Result<Coalesce<K, V>>
    where
        K: CacheKey + Clone + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        let keyspace = self.keyspace.build()?;
        let lease = keyspace.lease_lifetime().min(LONGEST_WAIT);
        let wait_timeout = self.wait_timeout.unwrap_or(lease + BEYOND_THE_LEASE);
        let wait_timeout = wait_timeout.min(LONGEST_WAIT);
        let limits = Limits {
            // Who waits for another process is no hung leader yet when that wait ends.
            patience: wait_timeout.max(lease) + BEYOND_THE_LEASE,
            ..self.limits
        };
        let origin = Origin::new(loader);
        Ok(Coalesce::new(
            keyspace,
            origin,
            limits,
            wait_timeout,
            self.overload,
        ))
    }
}
