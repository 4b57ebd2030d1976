//! What can go wrong in a limiter.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use larder_store::{BoxError, ErrorKind as StoreErrorKind};

/// A result with a limiter's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store failed; the value says how.
    Store(StoreErrorKind),
    /// The record under the identity's key is not a limiter's. It is left alone.
    Foreign,
    /// The identity is too long for a key.
    IdentityTooLong,
    /// Waiting took as long as it may, or would have.
    DeadlineExceeded,
    /// Waiting would never end: the cost is over what is ever admitted at once.
    NeverAdmitted,
    /// The settings can't work.
    Config,
}

/// A limiter's failure: its kind, a message that says what to do, and its source. Cloning is cheap.
///
/// A refused request is no failure but a [`Decision`](crate::Decision). No message carries an identity.
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

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// The same error with its source.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::from(source.into()));
        self
    }

    /// The same error of a part of the settings.
    pub(crate) fn of(mut self, part: fmt::Arguments<'_>) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.message = format!("{part}: {}", inner.message).into();
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without anybody changing the program.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            ErrorKind::Store(kind) => kind.is_transient(),
            ErrorKind::DeadlineExceeded => true,
            _ => false,
        }
    }
}

/// Somebody else's record is under an identity's key.
pub(crate) fn foreign() -> Error {
    Error::new(
        ErrorKind::Foreign,
        "the identity's key holds a record of somebody else, which is left alone: give the limiter another name",
    )
}

impl From<larder_store::Error> for Error {
    fn from(error: larder_store::Error) -> Self {
        let (kind, message) = match error.kind() {
            StoreErrorKind::WrongType => (
                ErrorKind::Foreign,
                "the identity's key holds a value of another type, which is left alone: give the limiter another name",
            ),
            StoreErrorKind::KeyTooLong => (
                ErrorKind::IdentityTooLong,
                "the identity is too long for a key: limit its length, or hash it",
            ),
            kind => (ErrorKind::Store(kind), "the store failed"),
        };
        Self::new(kind, message).with_source(error)
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
