//! The record at the one key, and what can befall it besides the protocol's steps.

use std::{fmt, time::Duration};

use bytes::Bytes;
use larder_cache::steps::{self, PlainValue, Record};
use larder_store::{Outcome, Timestamp, Write};

use crate::token::Token;

/// The store's time, which stands still: that a deadline passes is an action of its own, see [`lapse`].
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// How long leases, holds and claims live, as far as the bytes say.
pub(crate) const LIFETIME: Duration = Duration::from_secs(10);

/// The value that was read from version `version` of the database's row.
pub(crate) fn value(version: u8) -> PlainValue {
    PlainValue {
        payload: vec![version],
        negative: false,
        version: Some(version.into()),
        ttl: LIFETIME,
    }
}

/// The version that a record shows to readers, if it is a value.
pub(crate) fn cached_version(record: Option<&Bytes>) -> Option<u8> {
    match Record::parse(record?) {
        Record::Value {
            payload: Some(payload),
            ..
        } => payload.first().copied(),
        _ => None,
    }
}

/// A record with version 0, as an earlier read left it.
pub(crate) fn old_value() -> Option<Bytes> {
    after(None, fill_blindly(Token::OLD, 0).write)
}

/// What a fill does where its lease is there, done without it: a SET.
pub(crate) fn fill_blindly(token: Token, version: u8) -> Outcome {
    let lease = steps::lease(token.plain(), LIFETIME, None);
    let leased = after(None, lease.apply(None, NOW).write);
    steps::fill(token.plain(), &value(version)).apply(leased.as_ref(), NOW)
}

/// The record after a step.
pub(crate) fn after(record: Option<Bytes>, write: Write) -> Option<Bytes> {
    match write {
        Write::Keep => record,
        Write::Set(bytes, _) | Write::SetOrDelete(bytes, _) => Some(bytes),
        Write::Delete => None,
    }
}

/// Whose deadlines can pass while the record stays: a claim's; a hold's while another one lives, since the
/// last hold to run out takes the record with it, which is an eviction.
pub(crate) fn mortal(record: Option<&Bytes>) -> Vec<Token> {
    let Some(bytes) = record else {
        return Vec::new();
    };
    match Record::parse(bytes) {
        Record::Value {
            claim: Some(claim), ..
        } => live(bytes, vec![claim]),
        _ => {
            let live = live_holds(record);
            if live.len() > 1 { live } else { Vec::new() }
        }
    }
}

fn live(bytes: &[u8], tokens: Vec<[u8; 16]>) -> Vec<Token> {
    let tokens = tokens.into_iter().map(Token::of);
    tokens.filter(|token| is_live(bytes, *token)).collect()
}

/// Whether the record has a live hold or claim of this token.
pub(crate) fn is_live(bytes: &[u8], token: Token) -> bool {
    deadline_at(bytes, token).is_some_and(|at| bytes[at..at + 8] != [0; 8])
}

/// The record with this hold's or claim's deadline in the past. Any order of any deadlines is allowed, which
/// covers whatever lifetimes the writers were configured with.
pub(crate) fn lapse(record: &Bytes, token: Token) -> Bytes {
    let mut bytes = record.to_vec();
    if let Some(at) = deadline_at(&bytes, token) {
        bytes[at..at + 8].fill(0);
    }
    bytes.into()
}

/// In a record a deadline follows its token; see the frame layout in `larder-cache`.
fn deadline_at(bytes: &[u8], token: Token) -> Option<usize> {
    let plain = token.plain();
    let at = bytes.windows(16).position(|window| window == plain)? + 16;
    (at + 8 <= bytes.len()).then_some(at)
}

/// A record in words.
#[derive(Debug)]
pub(crate) struct InWords<'a>(pub(crate) Option<&'a Bytes>);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else {
            return f.write_str("empty");
        };
        match Record::parse(bytes) {
            Record::Lease { token, waited } => {
                let waited = if waited { ", waited" } else { "" };
                write!(f, "lease({}{waited})", Token::of(token))
            }
            Record::Value { stamp, claim, .. } => {
                let version = cached_version(self.0).unwrap_or_default();
                write!(f, "value(v{version}, stamp {}", Token::of(stamp))?;
                if let Some(claim) = claim {
                    write!(f, ", claim {}", Token::of(claim))?;
                }
                f.write_str(")")
            }
            Record::Holds { tainted, tokens } => {
                let names = tokens.iter().map(|token| Token::of(*token).to_string());
                let names: Vec<_> = names.collect();
                let tainted = if tainted { ", tainted" } else { "" };
                write!(f, "holds({}{tainted})", names.join(" "))
            }
            _ => f.write_str("foreign bytes"),
        }
    }
}

/// Whether the record is a lease whose end someone wants to be told of.
pub(crate) fn is_waited(record: Option<&Bytes>) -> bool {
    record.is_some_and(|bytes| matches!(Record::parse(bytes), Record::Lease { waited: true, .. }))
}

/// Whose holds there are.
pub(crate) fn live_holds(record: Option<&Bytes>) -> Vec<Token> {
    let Some(bytes) = record else {
        return Vec::new();
    };
    match Record::parse(bytes) {
        Record::Holds { tokens, .. } => live(bytes, tokens),
        _ => Vec::new(),
    }
}
