//! The protocol's steps as plain updates over plain tokens, for proofs and tests. Not covered by semantic
//! versioning; patterns and applications use [`Keyspace`](crate::Keyspace).

use std::time::Duration;

use bytes::Bytes;
use larder_store::{Script, Step, Update};

use crate::{
    frame::{Frame, Seal},
    protocol::{
        Abort, Begin, Claim, End, Fill, Invalidate, Lease, NewValue, PutIfNewer, Refresh, SCRIPTS,
        Unclaim, Wait,
    },
    token::Token,
};

/// 128 bits that name one attempt.
pub type PlainToken = [u8; 16];

/// Every script of the protocol.
#[must_use]
pub fn scripts() -> &'static [&'static Script] {
    &SCRIPTS
}

/// lease: replies 1, or the record that is there. `replace` is the undecodable record to take the place of.
#[must_use]
pub fn lease(token: PlainToken, lifetime: Duration, replace: Option<Bytes>) -> Update {
    Lease {
        token: token.into(),
        lifetime,
        replace,
    }
    .update()
}

/// wait: replies 1 if there is a lease, otherwise the record or nil.
#[must_use]
pub fn wait() -> Update {
    Wait.update()
}

/// fill: replies 1 if the value was stored.
#[must_use]
pub fn fill(token: PlainToken, value: &PlainValue) -> Update {
    Fill {
        token: token.into(),
        value: value.seal(),
    }
    .update()
}

/// abort: replies 1 if the lease was there.
#[must_use]
pub fn abort(token: PlainToken) -> Update {
    Abort {
        token: token.into(),
    }
    .update()
}

/// claim: replies 1 if it was granted.
#[must_use]
pub fn claim(stamp: PlainToken, token: PlainToken, lifetime: Duration) -> Update {
    Claim {
        stamp: stamp.into(),
        token: token.into(),
        lifetime,
    }
    .update()
}

/// refresh: replies 1 if the value was stored; the claim's token is its stamp.
#[must_use]
pub fn refresh(stamp: PlainToken, token: PlainToken, value: &PlainValue) -> Update {
    Refresh {
        stamp: stamp.into(),
        token: token.into(),
        value: value.seal(),
    }
    .update()
}

/// unclaim: replies 1 if the claim was there.
#[must_use]
pub fn unclaim(stamp: PlainToken, token: PlainToken) -> Update {
    Unclaim {
        stamp: stamp.into(),
        token: token.into(),
    }
    .update()
}

/// invalidate: replies 1 if there was a record.
#[must_use]
pub fn invalidate() -> Update {
    Invalidate.update()
}

/// put_if_newer: replies 2 if the value was stored, 1 if what was there was dropped, 0 if nothing older was there.
#[must_use]
pub fn put_if_newer(token: PlainToken, version: u64, value: Option<&PlainValue>) -> Update {
    PutIfNewer {
        token: token.into(),
        version,
        value: value.map(PlainValue::seal),
    }
    .update()
}

/// begin: replies 1.
#[must_use]
pub fn begin(token: PlainToken, lifetime: Duration) -> Update {
    Begin {
        token: token.into(),
        lifetime,
    }
    .update()
}

/// end: replies 2 if the value was stored, 1 if the hold was there, 0 if not.
#[must_use]
pub fn end(token: PlainToken, value: Option<&PlainValue>) -> Update {
    End {
        token: token.into(),
        value: value.map(PlainValue::seal),
    }
    .update()
}

/// A value to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainValue {
    /// The encoded value.
    pub payload: Vec<u8>,
    /// Whether it says that there is none.
    pub negative: bool,
    /// The database's version of the row.
    pub version: Option<u64>,
    /// How long the record lives.
    pub ttl: Duration,
}

impl PlainValue {
    fn seal(&self) -> NewValue {
        let mut sealed = Seal::room(self.version);
        sealed.extend_from_slice(&self.payload);
        let seal = Seal {
            soft_ttl_ms: u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
            cost_us: 0,
            codec: 64,
        };
        NewValue {
            negative: self.negative,
            versioned: self.version.is_some(),
            sealed: seal.close(sealed),
            soft_ttl: self.ttl,
            ttl: self.ttl,
        }
    }
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Record {
    /// Someone is loading.
    Lease {
        /// Whose lease it is.
        token: PlainToken,
        /// Whether followers wait for its end.
        waited: bool,
    },
    /// A value.
    Value {
        /// The token it was stored under.
        stamp: PlainToken,
        /// Whether it says that there is none.
        negative: bool,
        /// Who refreshes it, live or not.
        claim: Option<PlainToken>,
        /// The database's version of the row.
        version: Option<u64>,
        /// The encoded value; `None` if the checksum doesn't hold.
        payload: Option<Vec<u8>>,
    },
    /// Writers in flight.
    Holds {
        /// Whether whoever ends last must not write a value.
        tainted: bool,
        /// Whose holds there are, live or not.
        tokens: Vec<PlainToken>,
    },
    /// Not a record.
    Foreign,
}

impl Record {
    /// What these bytes are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        match Frame::parse(bytes) {
            Frame::Lease(lease) => Self::Lease {
                token: *lease.token.as_bytes(),
                waited: lease.waited,
            },
            Frame::Value(value) => Self::Value {
                stamp: *value.stamp.as_bytes(),
                negative: value.negative,
                claim: value.claim.map(|claim| *claim.token.as_bytes()),
                version: value.version(),
                payload: Seal::open(value.sealed, value.versioned)
                    .map(|(_, payload)| payload.to_vec()),
            },
            Frame::Holds(holds) => Self::Holds {
                tainted: holds.tainted,
                tokens: holds
                    .holds
                    .iter()
                    .map(|hold| *hold.token.as_bytes())
                    .collect(),
            },
            Frame::Foreign => Self::Foreign,
        }
    }
}

impl From<PlainToken> for Token {
    fn from(token: PlainToken) -> Self {
        Self::of(token)
    }
}
