//! What patterns say of the keyspace under them, written once.

/// Gives a pattern the methods that its keyspace answers.
#[doc(hidden)]
#[macro_export]
macro_rules! keyspace_methods {
    ($pattern:ident, |$this:ident| $keyspace:expr) => {
        impl<K, V> $pattern<K, V> {
            /// The keyspace under it: for another pattern over the same records, and for patterns that build on this
            /// one.
            #[must_use]
            pub fn keyspace(&self) -> &$crate::Keyspace<K, V> {
                let $this = self;
                &$keyspace
            }

            /// What happened so far.
            #[must_use]
            pub fn stats(&self) -> $crate::Stats {
                let $this = self;
                $keyspace.stats()
            }

            /// How many keys wait until the store can be told that they changed. They are told each once, however often
            /// they changed; 10,000 can wait.
            #[must_use]
            pub fn deferred(&self) -> usize {
                let $this = self;
                $keyspace.deferred()
            }

            /// How many tasks are under way in the background.
            #[must_use]
            pub fn tasks(&self) -> usize {
                let $this = self;
                $keyspace.tasks()
            }
        }

        impl<K: $crate::CacheKey, V> $pattern<K, V> {
            /// Drops what is cached for this key. Call it after the change is committed: no read that starts after `Ok`
            /// sees what was there before, or joins a load from before it, in whatever process. One round trip.
            ///
            /// # Errors
            /// [`ErrorKind::Deferred`](larder_cache::ErrorKind::Deferred) if the store can't be told now: it is repeated
            /// in the background until it is.
            ///
            /// # Cancellation
            /// A dropped request is seen through in the background.
            pub async fn invalidate(&self, key: &K) -> $crate::Result<()> {
                let $this = self;
                $keyspace.invalidate(key).await
            }

            /// [`invalidate`](Self::invalidate) for several keys in one round trip.
            ///
            /// # Errors
            /// As [`invalidate`](Self::invalidate), if any of them was deferred.
            pub async fn invalidate_many(&self, keys: &[K]) -> $crate::Result<()> {
                let $this = self;
                $keyspace.invalidate_many(keys).await
            }

            /// Tells the cache of a change that was made elsewhere, with the row as it is since, for databases that hand out a
            /// version with each change. An entry of an older version is replaced, and one of this version or a newer one is
            /// kept; what can't be compared is dropped, and where nothing is cached nothing is stored. `None` is for a row
            /// that was deleted, with its last version or a later one. One round trip.
            ///
            /// Call it after the commit: no read that starts after it returned sees what was there before, unless it returned
            /// [`CacheState::Deferred`](larder_cache::CacheState::Deferred) or
            /// [`CacheState::Failed`](larder_cache::CacheState::Failed). Entries have versions where the cache was built with
            /// `row_version`, which must tell the same version of this value.
            ///
            /// # Cancellation
            /// A dropped request is seen through in the background.
            pub async fn put_if_newer(
                &self,
                key: &K,
                version: u64,
                value: Option<&V>,
            ) -> $crate::CacheState
            where
                V: 'static,
            {
                let $this = self;
                $keyspace.put_if_newer(key, version, value).await
            }

            /// Drops everything that is cached under this name and version: no read that starts after `Ok` sees what was
            /// there before, in whatever process. It looks at every key of the store, some 500 a round trip.
            ///
            /// # Errors
            /// Those of the store: then some of it may be left, so call it again.
            /// [`ErrorKind::Deferred`](larder_cache::ErrorKind::Deferred) as for [`invalidate`](Self::invalidate).
            ///
            /// # Cancellation
            /// Dropping the future stops it half-way.
            pub async fn invalidate_all(&self) -> $crate::Result<()> {
                let $this = self;
                $keyspace.invalidate_all().await
            }
        }
    };
}

/// Makes a pattern that reads a [`Cache`](crate::Cache): with the methods that its keyspace answers, and its own `fetch`,
/// `get` and `get_many`.
#[doc(hidden)]
#[macro_export]
macro_rules! read_pattern {
    ($pattern:ident, |$this:ident| $keyspace:expr, V: $($value:tt)+) => {
        $crate::keyspace_methods!($pattern, |$this| $keyspace);

        impl<K: $crate::CacheKey, V> $pattern<K, V> {
            /// Runs a database write and drops the entry, in one bracket: from before the write starts until it is
            /// committed, nobody stores what they loaded. Prefer it to [`invalidate`](Self::invalidate): a process that
            /// dies between its commit and its invalidation leaves nothing stale for longer than the hold. Two round trips.
            ///
            /// # Errors
            /// [`ErrorKind::Writer`](larder_cache::ErrorKind::Writer) if the writer failed, and
            /// [`ErrorKind::Refused`](larder_cache::ErrorKind::Refused) if it was not run, since the store is required and
            /// could not be reached.
            ///
            /// # Cancellation
            /// If the future is dropped while the writer runs, the hold runs out by itself. Once the writer is done, the end
            /// is seen through in the background.
            pub async fn write<T, E: Into<$crate::WriteError>>(
                &self,
                key: &K,
                writer: impl Future<Output = $crate::Result<T, E>>,
            ) -> $crate::Result<$crate::Written<T>> {
                let $this = self;
                $keyspace.write(key, writer).await
            }
        }

        #[$crate::async_trait]
        impl<K, V> $crate::Cache<K, V> for $pattern<K, V>
        where
            K: $crate::CacheKey + Clone + Send + Sync + 'static,
            V: $($value)+,
        {
            async fn fetch(&self, key: &K) -> $crate::Result<$crate::Fetched<V>> {
                Self::fetch(self, key).await
            }

            async fn get(&self, key: &K) -> $crate::Result<Option<V>> {
                Self::get(self, key).await
            }

            async fn get_many(&self, keys: &[K]) -> $crate::Result<Vec<Option<V>>> {
                Self::get_many(self, keys).await
            }

            async fn invalidate(&self, key: &K) -> $crate::Result<()> {
                Self::invalidate(self, key).await
            }

            async fn invalidate_many(&self, keys: &[K]) -> $crate::Result<()> {
                Self::invalidate_many(self, keys).await
            }

            async fn invalidate_all(&self) -> $crate::Result<()> {
                Self::invalidate_all(self).await
            }

            fn stats(&self) -> $crate::Stats {
                Self::stats(self)
            }

            fn deferred(&self) -> usize {
                Self::deferred(self)
            }

            async fn shutdown(&self) -> $crate::Result<()> {
                Self::shutdown(self).await
            }
        }
    };
}
