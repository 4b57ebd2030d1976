//! Who acts, and under which token.

use std::fmt;

use larder_cache::steps::PlainToken;

/// One attempt's token: a small number, repeated to fill 16 bytes. Fresh for every attempt, as in the real
/// protocol, where 128 random bits make sure of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(u8);

const LEASES: u8 = 0x10;
const CLAIMS: u8 = 0x40;
const HOLDS: u8 = 0x50;
const PUTS: u8 = 0x60;

impl Token {
    /// The stamp of the value that is cached before anything happens.
    pub(crate) const OLD: Self = Self(1);

    /// What a reader asks for a lease with, at its first or second attempt.
    pub(crate) const fn lease(reader: u8, attempt: u8) -> Self {
        Self(LEASES + LEASES * attempt + reader)
    }

    /// What a reader claims a due value with.
    pub(crate) const fn claim(reader: u8) -> Self {
        Self(CLAIMS + reader)
    }

    /// What a writer holds the key with.
    pub(crate) const fn hold(writer: u8) -> Self {
        Self(HOLDS + writer)
    }

    /// What a plain writer puts its row with.
    pub(crate) const fn put(writer: u8) -> Self {
        Self(PUTS + writer)
    }

    /// As the protocol's steps take it.
    pub(crate) const fn plain(self) -> PlainToken {
        [self.0; 16]
    }

    /// From a record.
    pub(crate) const fn of(plain: PlainToken) -> Self {
        Self(plain[0])
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0 & 0xf;
        match self.0 & 0xf0 {
            0x00 => f.write_str("old"),
            LEASES => write!(f, "l{number}"),
            CLAIMS => write!(f, "c{number}"),
            HOLDS => write!(f, "w{number}"),
            PUTS => write!(f, "p{number}"),
            _ => write!(f, "l{number}'"),
        }
    }
}
