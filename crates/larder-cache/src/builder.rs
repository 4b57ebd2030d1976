//! Settings of a keyspace.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use larder_store::{Namespace, Store};
use serde::{Serialize, de::DeserializeOwned};

#[cfg(feature = "zstd")]
use crate::compression::Compression;
use crate::{
    Codec, Error, ErrorKind, Keyspace, MessagePack, Result, expiry::Expiry, keyspace::RowVersion,
};

/// What the steps need to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) expiry: Expiry,
    pub(crate) load_timeout: Duration,
    pub(crate) lease: Duration,
    pub(crate) hold: Duration,
    pub(crate) max_value_len: usize,
    pub(crate) store_required: bool,
    #[cfg(feature = "zstd")]
    pub(crate) compression: Option<Compression>,
}

/// Settings of a [`Keyspace`]; patterns have the same ones on their own builders.
pub struct KeyspaceBuilder<K, V> {
    store: Arc<dyn Store>,
    name: String,
    version: u32,
    codec: Arc<dyn Codec<V>>,
    row_version: Option<RowVersion<V>>,
    settings: Settings,
    /// If it was set; otherwise it follows the load timeout.
    lease: Option<Duration>,
    keys: PhantomData<fn(&K)>,
}

impl<K, V: Serialize + DeserializeOwned> KeyspaceBuilder<K, V> {
    /// A keyspace of this name whose values are MessagePack.
    #[must_use]
    pub fn new(store: impl Into<Arc<dyn Store>>, name: &str) -> Self {
        Self::with_codec(store, name, MessagePack)
    }
}

impl<K, V> KeyspaceBuilder<K, V> {
    /// A keyspace of this name whose values are encoded by this codec.
    #[must_use]
    pub fn with_codec(store: impl Into<Arc<dyn Store>>, name: &str, codec: impl Codec<V>) -> Self {
        Self {
            store: store.into(),
            name: name.to_owned(),
            version: 1,
            codec: Arc::new(codec),
            row_version: None,
            settings: Settings {
                expiry: Expiry {
                    ttl: Duration::from_secs(300),
                    negative_ttl: None,
                    jitter: 0.1,
                    grace: Duration::ZERO,
                },
                load_timeout: Duration::from_secs(10),
                lease: Duration::ZERO,
                hold: Duration::from_secs(10),
                max_value_len: 8 << 20,
                store_required: false,
                #[cfg(feature = "zstd")]
                compression: None,
            },
            lease: None,
            keys: PhantomData,
        }
    }

    /// The version of the stored type, part of every key. Raise it when the type changes shape: the old
    /// entries are never read again and expire. The default: 1.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// How long a value counts as fresh. The default: 5 minutes.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.expiry.ttl = ttl;
        self
    }

    /// Stores "there is none" for this long, so that look-ups of missing keys don't all reach the origin.
    /// Invalidate a key when it is created. The default: not stored.
    #[must_use]
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.settings.expiry.negative_ttl = Some(ttl);
        self
    }

    /// Takes up to this share off each TTL, by lot, so that entries stored together don't expire together.
    /// Between 0.0 and 1.0; the default: 0.1.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.settings.expiry.jitter = share;
        self
    }

    /// Keeps an entry for this long past its TTL, to be served if the loader fails (stale-if-error). The
    /// default: zero.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.expiry.grace = grace;
        self
    }

    /// A grace no shorter than this, for patterns that need one.
    #[must_use]
    pub fn grace_at_least(mut self, grace: Duration) -> Self {
        let set = &mut self.settings.expiry.grace;
        *set = grace.max(*set);
        self
    }

    /// How to tell the database's version of a row from its value, such as a counter column: each change gives a
    /// larger one. (Times tie, and may go back: PostgreSQL's `now()` is when the transaction began.) Another numbering needs
    /// another [`version`](Self::version). Entries then carry it, and [`put_if_newer`](Keyspace::put_if_newer) can compare. The default: entries have
    /// none.
    #[must_use]
    pub fn row_version(mut self, version: impl Fn(&V) -> u64 + Send + Sync + 'static) -> Self {
        self.row_version = Some(Arc::new(version));
        self
    }

    /// How long a load may take before it fails as [`ErrorKind::LoaderTimeout`]. The default: 10 s.
    #[must_use]
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.settings.load_timeout = timeout;
        self
    }

    /// How long a lease lives if its holder vanishes; no shorter than the load timeout. The default: a second
    /// longer than that.
    #[must_use]
    pub fn lease(mut self, lifetime: Duration) -> Self {
        self.lease = Some(lifetime);
        self
    }

    /// How long a writer's hold lives if the writer vanishes, or fails with an unknown outcome: for so long the key is not
    /// cached. It must be longer than a database write takes. The default: 10 s.
    #[must_use]
    pub fn hold(mut self, lifetime: Duration) -> Self {
        self.settings.hold = lifetime;
        self
    }

    /// Larger values, encoded and before compression, are returned and not stored. The default: 8 MiB.
    #[must_use]
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.settings.max_value_len = bytes;
        self
    }

    /// Refuses a database write if the store can't be told of it first. The default: write, and invalidate as
    /// soon as the store is back.
    #[must_use]
    pub fn store_required(mut self, required: bool) -> Self {
        self.settings.store_required = required;
        self
    }

    /// Compresses encoded values from this size on with zstd, where that makes them smaller. The default: none.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn compress_over(mut self, bytes: usize) -> Self {
        self.settings.compression = Some(Compression {
            threshold: bytes,
            level: zstd::DEFAULT_COMPRESSION_LEVEL,
        });
        self
    }

    /// The keyspace.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a bad name, a TTL, load timeout or hold of zero, a lease shorter than the load
    /// timeout, or a jitter outside of 0.0 to 1.0.
    pub fn build(mut self) -> Result<Keyspace<K, V>>
    where
        V: 'static,
    {
        let bad = |message| Err(Error::new(ErrorKind::Config, message));
        let Settings {
            expiry,
            load_timeout,
            hold,
            ..
        } = self.settings;
        let lease = self
            .lease
            .unwrap_or(load_timeout.saturating_add(Duration::from_secs(1)));
        self.settings.lease = lease;
        if expiry.ttl.is_zero() {
            return bad("the TTL is zero: nothing would ever be found");
        }
        if load_timeout.is_zero() || hold.is_zero() {
            return bad("the load timeout and the lifetime of a hold must be above zero");
        }
        if lease < load_timeout {
            return bad(
                "the lease is shorter than the load timeout: a slow load could never be stored",
            );
        }
        if !(0.0..=1.0).contains(&expiry.jitter) {
            return bad("the jitter is a share between 0.0 and 1.0");
        }
        let namespace = Namespace::new(&self.name, self.version).map_err(|error| {
            Error::new(ErrorKind::Config, "the keyspace's name can't be used").with_source(error)
        })?;
        Ok(Keyspace::new(
            self.store,
            namespace,
            self.codec,
            self.row_version,
            self.settings,
        ))
    }
}

impl<K, V> fmt::Debug for KeyspaceBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyspaceBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Gives a pattern's builder the settings of the builder in one of its fields.
#[doc(hidden)]
#[macro_export]
macro_rules! keyspace_settings {
    ($builder:ident, $field:ident) => {
        impl<K, V> $builder<K, V> {
            $crate::keyspace_settings! { @each $field,
                /// The version of the stored type, part of every key. Raise it when the type changes shape: the
                /// old entries are never read again and expire. The default: 1.
                version(version: u32);
                /// How long a value counts as fresh. The default: 5 minutes.
                ttl(ttl: ::std::time::Duration);
                /// Stores "there is none" for this long, so that look-ups of missing keys don't all reach the
                /// origin. Invalidate a key when it is created. The default: not stored.
                negative_ttl(ttl: ::std::time::Duration);
                /// Takes up to this share off each TTL, by lot, so that entries stored together don't expire
                /// together. Between 0.0 and 1.0; the default: 0.1.
                jitter(share: f64);
                /// Keeps an entry for this long past its TTL, to be served if the loader fails
                /// (stale-if-error). The default: zero.
                grace(grace: ::std::time::Duration);
                /// How to tell the database's version of a row from its value, such as a counter column: each
                /// change gives a larger one. (Times tie, and may go back: PostgreSQL's `now()` is when the transaction
                /// began.) Another numbering needs another [`version`](Self::version). Entries then carry it, for
                /// [`put_if_newer`](larder_cache::Keyspace::put_if_newer). The default: entries have none.
                row_version(version: impl Fn(&V) -> u64 + Send + Sync + 'static);
                /// How long a load may take before it fails as
                /// [`ErrorKind::LoaderTimeout`](larder_cache::ErrorKind::LoaderTimeout). The default: 10 s.
                load_timeout(timeout: ::std::time::Duration);
                /// How long a lease lives if its holder vanishes; no shorter than the load timeout. The
                /// default: a second longer than that.
                lease(lifetime: ::std::time::Duration);
                /// How long a writer's hold lives if the writer vanishes, or fails with an unknown outcome: for so
                /// long the key is not cached. It must be longer than a database write takes. The default: 10 s.
                hold(lifetime: ::std::time::Duration);
                /// Larger values, encoded and before compression, are returned and not stored. The default:
                /// 8 MiB.
                max_value_len(bytes: usize);
                /// Refuses a database write if the store can't be told of it first. The default: write, and
                /// invalidate as soon as the store is back.
                store_required(required: bool);
            }
        }

        $crate::keyspace_compression!($builder, $field);
    };
    (@each $field:ident, $($(#[$doc:meta])* $name:ident($value:ident: $type:ty);)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $value: $type) -> Self {
                self.$field = self.$field.$name($value);
                self
            }
        )*
    };
}

/// The setting of compression, where there is one.
#[cfg(feature = "zstd")]
#[doc(hidden)]
#[macro_export]
macro_rules! keyspace_compression {
    ($builder:ident, $field:ident) => {
        impl<K, V> $builder<K, V> {
            $crate::keyspace_settings! { @each $field,
                /// Compresses encoded values from this size on with zstd, where that makes them smaller. The
                /// default: none.
                compress_over(bytes: usize);
            }
        }
    };
}

/// The setting of compression, where there is none.
#[cfg(not(feature = "zstd"))]
#[doc(hidden)]
#[macro_export]
macro_rules! keyspace_compression {
    ($builder:ident, $field:ident) => {};
}
