//! What can go wrong in a cache.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use larder_store::BoxError;

/// A result with a cache's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store failed; the value says how.
    Store(larder_store::ErrorKind),
    /// The loader failed. [`Error::loader_error`] has its error.
    Loader,
    /// The loader did not answer within its timeout.
    LoaderTimeout,
    /// The value can't be encoded.
    Encode,
    /// The record is ours and can't be decoded: damaged, or of an older shape of the type.
    Undecodable,
    /// The bytes at the key aren't ours, or are of a record format this version doesn't know.
    Foreign,
    /// The writer failed. [`Error::writer_error`] has its error.
    Writer,
    /// The write was not begun, since the store is required and could not be reached. The database is
    /// untouched.
    Refused,
    /// The store could not be reached, and the invalidation waits to be sent again. Until then readers may
    /// see the old value.
    Deferred,
    /// Too many loads are under way, or too many callers wait for one.
    Overloaded,
    /// Another caller's load was not over in time.
    WaitTimeout,
    /// The settings can't work.
    Config,
}

/// A cache's failure: its kind, a message, and its source. The cause, such as the database's own error, is in the chain of
/// sources, so print all of it: `{:#}` does with `anyhow`.
///
/// Cloning is cheap, so that one failed load can be given to every caller that waited for it. No message
/// carries a key or a value.
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

    /// Whether the same call may succeed later without anybody changing the program. The loader's own errors
    /// are for the caller to judge; they count as not transient.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            ErrorKind::Store(kind) => kind.is_transient(),
            ErrorKind::LoaderTimeout
            | ErrorKind::Refused
            | ErrorKind::Deferred
            | ErrorKind::Overloaded
            | ErrorKind::WaitTimeout => true,
            _ => false,
        }
    }

    /// The error that the loader returned, if it failed and this is its type.
    #[must_use]
    pub fn loader_error<E: StdError + 'static>(&self) -> Option<&E> {
        self.source_of(ErrorKind::Loader)
    }

    /// The error that the writer returned, if it failed and this is its type.
    #[must_use]
    pub fn writer_error<E: StdError + 'static>(&self) -> Option<&E> {
        self.source_of(ErrorKind::Writer)
    }

    fn source_of<E: StdError + 'static>(&self, kind: ErrorKind) -> Option<&E> {
        if self.kind() != kind {
            return None;
        }
        self.0.source.as_deref()?.downcast_ref()
    }
}

/// An error of a codec or of compression, as a source. Its own text may quote the value, so `Display` and
/// `Debug` don't show it; [`get_ref`](Self::get_ref) does.
pub struct CodecError(BoxError);

impl CodecError {
    pub(crate) fn hiding(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }

    /// The error itself. Mind where it is shown: it may quote the value.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the codec failed; its error is not shown, since it may quote the value")
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecError").finish_non_exhaustive()
    }
}

impl StdError for CodecError {}

impl From<larder_store::Error> for Error {
    fn from(error: larder_store::Error) -> Self {
        Self::new(ErrorKind::Store(error.kind()), "the store failed").with_source(error)
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
