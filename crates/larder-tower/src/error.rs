//! What can be wrong with a layer's settings.

use std::{borrow::Cow, error::Error as StdError, fmt};

/// A result with a layer's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A quota's name can't be sent, or two quotas have the same one.
    PolicyName,
    /// The quota unit can't be sent.
    QuotaUnit,
    /// What should be the name of a header field is none.
    HeaderName,
    /// No hop is trusted, so that nothing in the field is.
    TrustedHops,
}

/// Settings that can't work: the kind, and a message that says what to do.
///
/// Once a layer is built it has no errors of its own: what goes wrong with a request is a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

impl Error {
    /// An error of this kind with a message.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What kind of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody changing the program: never.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {}
