//! put_if_newer: the database has changed, and this is its row as of that version.

use larder_store::{Input, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, HOLDS_LUA, NewValue, frame, refused, taint, token, ttl, value, wake};
use crate::{frame::Frame, token::Token};

pub(super) static SCRIPT: Script = Script::new(
    "put_if_newer",
    &[FRAME_LUA, HOLDS_LUA, include_str!("put_if_newer.lua")],
    apply,
);

/// Replaces a value of an older version of the row. What can't be compared is dropped, as an invalidation does.
#[derive(Debug)]
pub(crate) struct PutIfNewer {
    /// The new value's stamp.
    pub(crate) token: Token,
    pub(crate) version: u64,
    /// None to drop an older one.
    pub(crate) value: Option<NewValue>,
}

/// The answer to [`PutIfNewer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// The value is in the cache.
    Stored,
    /// What was there is gone, or kept from becoming a value.
    Dropped,
    /// Nothing was there, or nothing older.
    Kept,
}

impl Step for PutIfNewer {
    type Reply = Put;

    fn update(&self) -> Update {
        let update = Update::new(&SCRIPT)
            .arg(self.token.to_bytes())
            .arg(&self.version.to_be_bytes()[..]);
        NewValue::arg(update, self.value.as_ref())
    }

    fn reply(&self, reply: Reply) -> Result<Put> {
        reply.into_int().map(|put| match put {
            2 => Put::Stored,
            1 => Put::Dropped,
            _ => Put::Kept,
        })
    }
}

fn apply(input: Input<'_>) -> Outcome {
    let [stamp, version, sealed, flags, ttl_ms] = input.args else {
        return refused();
    };
    let (Some(stamp), Some(version)) = (token(stamp), version.as_bytes().first_chunk()) else {
        return refused();
    };
    let there = match frame(&input) {
        None => return refused(),
        Some(Frame::Holds(holds)) => return Outcome::new(taint(holds), Reply::Int(1)),
        Some(frame) => frame,
    };
    let known = match &there {
        Frame::Value(value) => value.version(),
        _ => None,
    };
    let version = u64::from_be_bytes(*version);
    // A deletion has no version of its own: one that comes with the row's last drops it.
    let deletion = sealed.as_bytes().is_empty() || flags.as_int() & 1 != 0;
    match known {
        Some(known) if known > version || known == version && !deletion => refused(),
        Some(known) if known < version && !sealed.as_bytes().is_empty() => {
            let record = value(stamp, flags, sealed, &input);
            Outcome::new(Write::SetOrDelete(record, ttl(ttl_ms)), Reply::Int(2))
        }
        _ => Outcome::new(Write::Delete, Reply::Int(1)).notify(wake(&there)),
    }
}
