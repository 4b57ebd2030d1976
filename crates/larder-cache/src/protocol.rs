//! The lease protocol: one file a step, each with its Lua twin beside it.
//!
//! The principle: permission must be *held* to write. A fill presents a lease that is still there, so
//! whatever makes a record vanish (eviction, a crash, an invalidation) can cost a load and never leave a
//! stale value. `proofs/` checks every interleaving of these very functions within stated bounds.

mod abort;
mod begin;
mod claim;
mod end;
mod fill;
mod invalidate;
mod lease;
mod put_if_newer;
mod refresh;
mod unclaim;
mod wait;

pub(crate) use abort::Abort;
pub(crate) use begin::Begin;
pub(crate) use claim::Claim;
pub(crate) use end::{End, Ended};
pub(crate) use fill::Fill;
pub(crate) use invalidate::Invalidate;
pub(crate) use lease::{Lease, Leased};
pub(crate) use put_if_newer::{Put, PutIfNewer};
pub(crate) use refresh::Refresh;
pub(crate) use unclaim::Unclaim;
pub(crate) use wait::Wait;

use std::time::Duration;

use bytes::Bytes;
#[cfg(feature = "protocol")]
use larder_store::Script;
use larder_store::{Arg, Input, NewTtl, Outcome, Reply, Update, Write};

use crate::{
    frame::{Frame, HoldsFrame, VERSIONED, ValueFrame},
    token::Token,
};

/// Every script of the protocol, for tests that run both twins.
#[cfg(feature = "protocol")]
pub(crate) static SCRIPTS: [&Script; 11] = [
    &lease::SCRIPT,
    &wait::SCRIPT,
    &fill::SCRIPT,
    &abort::SCRIPT,
    &claim::SCRIPT,
    &refresh::SCRIPT,
    &unclaim::SCRIPT,
    &invalidate::SCRIPT,
    &put_if_newer::SCRIPT,
    &begin::SCRIPT,
    &end::SCRIPT,
];

const FRAME_LUA: &str = include_str!("protocol/frame.lua");
const CLAIM_LUA: &str = include_str!("protocol/claim_frame.lua");
const HOLDS_LUA: &str = include_str!("protocol/holds_frame.lua");

/// A value on its way into a record.
#[derive(Debug, Clone)]
pub(crate) struct NewValue {
    pub(crate) negative: bool,
    pub(crate) versioned: bool,
    pub(crate) sealed: Bytes,
    /// How long it counts as fresh.
    pub(crate) soft_ttl: Duration,
    /// How long the record lives: the soft TTL and the grace behind it.
    pub(crate) ttl: Duration,
}

impl NewValue {
    /// Adds the arguments of a value that may be there.
    fn arg(update: Update, value: Option<&Self>) -> Update {
        match value {
            Some(value) => update
                .arg(value.sealed.clone())
                .arg(value.flags())
                .arg(millis(value.ttl)),
            None => update.arg(Bytes::new()).arg(0).arg(1),
        }
    }

    fn flags(&self) -> i64 {
        let versioned = if self.versioned { VERSIONED } else { 0 };
        i64::from(u8::from(self.negative) | versioned)
    }
}

/// Milliseconds as an argument: at least one, and never over what Lua counts exactly.
fn millis(duration: Duration) -> i64 {
    const MOST: u128 = 1 << 52;
    let millis = duration.as_micros().div_ceil(1_000).clamp(1, MOST);
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn ttl(arg: &Arg) -> NewTtl {
    NewTtl::Millis(arg.as_int().unsigned_abs())
}

fn token(arg: &Arg) -> Option<Token> {
    Token::read(arg.as_bytes())
}

fn frame<'a>(input: &Input<'a>) -> Option<Frame<'a>> {
    input.record.map(|record| Frame::parse(record))
}

fn wake(frame: &Frame<'_>) -> Option<Bytes> {
    frame.is_waited().then(|| Bytes::from_static(b"wake"))
}

fn refused() -> Outcome {
    Outcome::keep(Reply::Int(0))
}

/// A value record as of now.
fn value(stamp: Token, flags: &Arg, sealed: &Arg, input: &Input<'_>) -> Bytes {
    ValueFrame {
        stamp,
        negative: flags.as_int() & 1 != 0,
        claim: None,
        versioned: flags.as_int() & i64::from(VERSIONED) != 0,
        created_ms: input.now.as_millis(),
        sealed: sealed.as_bytes(),
    }
    .to_bytes()
}

/// What becomes of holds that a writer or an invalidation passed by: whoever ends last must not write.
fn taint(mut holds: HoldsFrame) -> Write {
    if holds.tainted {
        return Write::Keep;
    }
    holds.tainted = true;
    Write::SetOrDelete(holds.to_bytes(), NewTtl::Keep)
}
