//! wait: tell me when the lease goes.

use larder_store::{Input, NewTtl, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, frame};
use crate::frame::{Frame, LeaseFrame};

pub(super) static SCRIPT: Script =
    Script::new("wait", &[FRAME_LUA, include_str!("wait.lua")], apply);

/// Asks whoever ends the lease to notify. Subscribe first, or the message may come too early to be heard.
/// Replies 1 if there is a lease, otherwise the record that is there, or nil.
#[derive(Debug)]
pub(crate) struct Wait;

impl Step for Wait {
    type Reply = Reply;

    fn update(&self) -> Update {
        Update::new(&SCRIPT)
    }

    fn reply(&self, reply: Reply) -> Result<Reply> {
        Ok(reply)
    }
}

fn apply(input: Input<'_>) -> Outcome {
    match frame(&input) {
        Some(Frame::Lease(lease)) if lease.waited => Outcome::keep(Reply::Int(1)),
        Some(Frame::Lease(lease)) => {
            let waited = LeaseFrame {
                waited: true,
                ..lease
            };
            Outcome::new(Write::Set(waited.to_bytes(), NewTtl::Keep), Reply::Int(1))
        }
        _ => Outcome::keep(input.record.cloned().map_or(Reply::Nil, Reply::Bytes)),
    }
}
