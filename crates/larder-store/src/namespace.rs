//! A named region of a store.

use std::fmt;

use crate::{CacheKey, Error, ErrorKind, Key, KeyWriter, Result, key::KeyBuffer};

/// Turns typed keys into [`Key`]s of the form `larder:{name}:{version}:{parts}`.
///
/// Two different typed keys of one type never give the same bytes, keys of two namespaces never meet, and
/// nothing a user types can choose a Redis Cluster slot. Raise the version when the stored type changes shape.
///
/// ```
/// use larder_store::Namespace;
///
/// let users = Namespace::new("user", 1)?;
/// assert_eq!(users.key(&42_u64)?.as_bytes(), b"larder:user:1:42");
/// assert_eq!(users.key(&("a:b", "{c}"))?.as_bytes(), b"larder:user:1:a%3Ab:%7Bc%7D");
/// # Ok::<(), larder_store::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Namespace {
    prefix: Box<[u8]>,
}

impl Namespace {
    /// The longest name, in bytes.
    pub const MAX_NAME_LEN: usize = 64;

    /// A namespace of this name and version.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] unless the name has 1 to 64 characters out of `A-Z a-z 0-9 . _ -`.
    pub fn new(name: &str, version: u32) -> Result<Self> {
        Self::with_middle(name, version)
    }

    fn with_middle(name: &str, middle: impl fmt::Display) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > Self::MAX_NAME_LEN || !name.bytes().all(allowed) {
            return Err(Error::new(
                ErrorKind::Config,
                "a namespace name has 1 to 64 characters out of A-Z a-z 0-9 . _ -",
            ));
        }
        Ok(Self {
            prefix: format!("larder:{name}:{middle}:").into_bytes().into(),
        })
    }

    /// A namespace for records of another kind than a cache's entries: `larder:{name}:{kind}:{parts}`. The kind stands
    /// where a cache has its version, and is no number, so the two never meet under one name.
    ///
    /// ```
    /// use larder_store::Namespace;
    ///
    /// let limits = Namespace::of_kind("api", "rate")?;
    /// assert_eq!(limits.key("10.0.0.1")?.as_bytes(), b"larder:api:rate:10.0.0.1");
    /// # Ok::<(), larder_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a bad name, as in [`new`](Self::new), or unless the kind has 1 to 64 letters.
    pub fn of_kind(name: &str, kind: &str) -> Result<Self> {
        let length = 1..=Self::MAX_NAME_LEN;
        if !length.contains(&kind.len()) || !kind.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(Error::new(
                ErrorKind::Config,
                "a namespace's kind has 1 to 64 letters",
            ));
        }
        Self::with_middle(name, kind)
    }

    /// The bytes that every key of this namespace starts with, the last colon included.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The encoded key.
    ///
    /// Cost: no allocation up to 56 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::KeyTooLong`] over [`Key::MAX_LEN`].
    pub fn key<K: CacheKey + ?Sized>(&self, key: &K) -> Result<Key> {
        let mut bytes = KeyBuffer::from_slice(&self.prefix);
        key.write_key(&mut KeyWriter::new(&mut bytes));
        Key::checked(bytes)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({})", String::from_utf8_lossy(&self.prefix))
    }
}
