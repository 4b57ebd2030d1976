//! invalidate: the database has changed.

use larder_store::{Input, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, HOLDS_LUA, frame, refused, taint, wake};
use crate::frame::Frame;

pub(super) static SCRIPT: Script = Script::new(
    "invalidate",
    &[FRAME_LUA, HOLDS_LUA, include_str!("invalidate.lua")],
    apply,
);

/// Drops whatever was cached before the commit it follows. Replies whether there was a record.
#[derive(Debug)]
pub(crate) struct Invalidate;

impl Step for Invalidate {
    type Reply = bool;

    fn update(&self) -> Update {
        Update::new(&SCRIPT)
    }

    fn reply(&self, reply: Reply) -> Result<bool> {
        reply.into_int().map(|there| there == 1)
    }
}

fn apply(input: Input<'_>) -> Outcome {
    match frame(&input) {
        None => refused(),
        Some(Frame::Holds(holds)) => Outcome::new(taint(holds), Reply::Int(1)),
        Some(frame) => Outcome::new(Write::Delete, Reply::Int(1)).notify(wake(&frame)),
    }
}
