//! What an actor sends to the store.

use std::fmt;

use larder_cache::steps;
use larder_store::Update;

use crate::{
    record::{LIFETIME, value},
    token::Token,
};

/// One request: a step of the protocol with its arguments. Versions stand for the values read from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Request {
    Lease(Token),
    Wait,
    Fill(Token, u8),
    Abort(Token),
    Claim {
        stamp: Token,
        claim: Token,
    },
    Unclaim {
        stamp: Token,
        claim: Token,
    },
    Refresh {
        stamp: Token,
        claim: Token,
        version: u8,
    },
    Invalidate,
    PutIfNewer(Token, u8),
    Begin(Token),
    End(Token, Option<u8>),
}

impl Request {
    /// The real step.
    pub(crate) fn update(self) -> Update {
        match self {
            Self::Lease(token) => steps::lease(token.plain(), LIFETIME, None),
            Self::Wait => steps::wait(),
            Self::Fill(token, version) => steps::fill(token.plain(), &value(version)),
            Self::Abort(token) => steps::abort(token.plain()),
            Self::Claim { stamp, claim } => steps::claim(stamp.plain(), claim.plain(), LIFETIME),
            Self::Unclaim { stamp, claim } => steps::unclaim(stamp.plain(), claim.plain()),
            Self::Refresh {
                stamp,
                claim,
                version,
            } => steps::refresh(stamp.plain(), claim.plain(), &value(version)),
            Self::Invalidate => steps::invalidate(),
            Self::PutIfNewer(token, version) => {
                steps::put_if_newer(token.plain(), version.into(), Some(&value(version)))
            }
            Self::Begin(token) => steps::begin(token.plain(), LIFETIME),
            Self::End(token, version) => steps::end(token.plain(), version.map(value).as_ref()),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lease(token) => write!(f, "lease({token})"),
            Self::Wait => f.write_str("wait"),
            Self::Fill(token, version) => write!(f, "fill({token}, v{version})"),
            Self::Abort(token) => write!(f, "abort({token})"),
            Self::Claim { stamp, claim } => write!(f, "claim({stamp}, {claim})"),
            Self::Unclaim { stamp, claim } => write!(f, "unclaim({stamp}, {claim})"),
            Self::Refresh {
                stamp,
                claim,
                version,
            } => write!(f, "refresh({stamp}, {claim}, v{version})"),
            Self::Invalidate => f.write_str("invalidate"),
            Self::PutIfNewer(token, version) => write!(f, "put_if_newer({token}, v{version})"),
            Self::Begin(token) => write!(f, "begin({token})"),
            Self::End(token, None) => write!(f, "end({token}, none)"),
            Self::End(token, Some(version)) => write!(f, "end({token}, v{version})"),
        }
    }
}
