//! An encoded key.

use std::{borrow::Borrow, fmt, ops::Deref};

use smallvec::SmallVec;

use crate::{Error, ErrorKind, Result};

/// Where a key is written before its length is checked.
pub(crate) type KeyBuffer = SmallVec<[u8; 56]>;

/// The bytes under which a store keeps one record. Short keys live on the stack.
///
/// Build one with a [`Namespace`](crate::Namespace): it escapes what users typed. `Debug` prints the
/// length only, since keys tend to hold e-mail addresses and tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(KeyBuffer);

impl Key {
    /// The longest key, in bytes, that a store must accept.
    pub const MAX_LEN: usize = 1024;

    /// A key of these very bytes, unescaped.
    ///
    /// # Errors
    /// [`ErrorKind::KeyTooLong`] over [`Key::MAX_LEN`].
    pub fn from_raw(bytes: &[u8]) -> Result<Self> {
        Self::checked(KeyBuffer::from_slice(bytes))
    }

    #[inline]
    pub(crate) fn checked(bytes: KeyBuffer) -> Result<Self> {
        if bytes.len() > Self::MAX_LEN {
            return Err(Error::new(
                ErrorKind::KeyTooLong,
                format!(
                    "the encoded key has {} bytes and the limit is {}: hash long identifiers before using them as keys",
                    bytes.len(),
                    Self::MAX_LEN
                ),
            ));
        }
        Ok(Self(bytes))
    }

    /// The key's bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

// `Hash` and `Eq` of the inline vector are those of its slice, as `Borrow` demands.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.0.len())
    }
}
