//! Tokens.

use std::fmt;

use bytes::Bytes;
use larder_store::{Error, ErrorKind, Result};

/// 128 random bits that name one attempt. A value keeps the token of the lease that filled it as its stamp.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; Self::LEN]);

impl Token {
    pub(crate) const LEN: usize = 16;

    /// A token nobody else has.
    pub(crate) fn fresh() -> Result<Self> {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                "the operating system gave no random bytes",
            )
            .with_source(error)
        })?;
        Ok(Self(bytes))
    }

    #[cfg(feature = "protocol")]
    pub(crate) const fn of(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The token at the start of these bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Self)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    pub(crate) fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }

    /// A number in `0.0..1.0` that follows from the token: jitter without another source of chance.
    pub(crate) fn fraction(self) -> f64 {
        let [a, b, c, d, ..] = self.0;
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Token({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}
