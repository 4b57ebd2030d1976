//! unclaim: the reload under this claim failed or was given up.

use larder_store::{Input, NewTtl, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{CLAIM_LUA, FRAME_LUA, frame, refused, token};
use crate::{frame::Frame, token::Token};

pub(super) static SCRIPT: Script = Script::new(
    "unclaim",
    &[FRAME_LUA, CLAIM_LUA, include_str!("unclaim.lua")],
    apply,
);

/// Takes the claim off the value, as if it had run out. Replies whether it was there.
#[derive(Debug)]
pub(crate) struct Unclaim {
    pub(crate) stamp: Token,
    pub(crate) token: Token,
}

impl Step for Unclaim {
    type Reply = bool;

    fn update(&self) -> Update {
        Update::new(&SCRIPT)
            .arg(self.stamp.to_bytes())
            .arg(self.token.to_bytes())
    }

    fn reply(&self, reply: Reply) -> Result<bool> {
        reply.into_int().map(|there| there == 1)
    }
}

fn apply(input: Input<'_>) -> Outcome {
    let [stamp, claimant] = input.args else {
        return refused();
    };
    let Some(Frame::Value(mut value)) = frame(&input) else {
        return refused();
    };
    let claimed = value
        .claim
        .is_some_and(|claim| Some(claim.token) == token(claimant));
    if Some(value.stamp) != token(stamp) || !claimed {
        return refused();
    }
    value.claim = None;
    Outcome::new(Write::Set(value.to_bytes(), NewTtl::Keep), Reply::Int(1))
}
