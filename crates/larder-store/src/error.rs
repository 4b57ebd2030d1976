//! What can go wrong in a store.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

/// Any error, boxed: what loaders, writers and codecs hand in.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A result with a store's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store can't be reached: connection refused, lost, or being rebuilt.
    Unavailable,
    /// The store did not answer within the deadline. Whether the operation took effect is unknown.
    Timeout,
    /// The store refused the credentials, or they lack the permission.
    Auth,
    /// The configuration can't work: a bad URL, a limit of zero, a bad namespace name.
    Config,
    /// The record at the key isn't a plain byte string; it belongs to somebody else and is left alone.
    WrongType,
    /// The encoded key is longer than [`Key::MAX_LEN`](crate::Key::MAX_LEN).
    KeyTooLong,
    /// The value is larger than the store accepts.
    ValueTooLarge,
    /// The store is full and its policy forbids eviction.
    OutOfMemory,
    /// The server is a replica, or otherwise refuses writes.
    ReadOnly,
    /// The reply had another shape than the operation promises.
    Protocol,
    /// The server answered with an error of its own.
    Server,
    /// The store was shut down by its owner.
    Shutdown,
}

impl ErrorKind {
    /// Whether the same operation may succeed later without anybody changing the program or the server.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::Timeout | Self::OutOfMemory | Self::ReadOnly
        )
    }
}

/// A store's failure: its kind, a message that says what to do, and the source it came from.
///
/// Cloning is cheap, so that one failure can be given to every caller that waited for it. No message
/// carries a key, a value or a password.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind with a message.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    /// [`ErrorKind::ValueTooLarge`] for a value of `len` bytes where a store accepts `limit`.
    #[must_use]
    pub fn value_too_large(len: usize, limit: usize) -> Self {
        Self::new(
            ErrorKind::ValueTooLarge,
            format!("the value has {len} bytes and this store accepts {limit}"),
        )
    }

    /// The same error with its source.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::from(source.into()));
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same operation may succeed later; see [`ErrorKind::is_transient`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind().is_transient()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind)
            .field("message", &self.0.message);
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
