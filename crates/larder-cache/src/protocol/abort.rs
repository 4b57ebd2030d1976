//! abort: the load under this lease failed or was given up.

use larder_store::{Input, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, frame, refused, token, wake};
use crate::{frame::Frame, token::Token};

pub(super) static SCRIPT: Script =
    Script::new("abort", &[FRAME_LUA, include_str!("abort.lua")], apply);

/// Deletes the lease, so that the next reader may load. Replies whether it was there.
#[derive(Debug)]
pub(crate) struct Abort {
    pub(crate) token: Token,
}

impl Step for Abort {
    type Reply = bool;

    fn update(&self) -> Update {
        Update::new(&SCRIPT).arg(self.token.to_bytes())
    }

    fn reply(&self, reply: Reply) -> Result<bool> {
        reply.into_int().map(|there| there == 1)
    }
}

fn apply(input: Input<'_>) -> Outcome {
    match (frame(&input), input.args) {
        (Some(frame @ Frame::Lease(lease)), [holder]) if Some(lease.token) == token(holder) => {
            Outcome::new(Write::Delete, Reply::Int(1)).notify(wake(&frame))
        }
        _ => refused(),
    }
}
