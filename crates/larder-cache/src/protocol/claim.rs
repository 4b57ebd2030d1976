//! claim: may I refresh this value?

use std::time::Duration;

use larder_store::{Input, NewTtl, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{CLAIM_LUA, FRAME_LUA, frame, millis, refused, token};
use crate::{
    frame::{Frame, Hold},
    token::Token,
};

pub(super) static SCRIPT: Script = Script::new(
    "claim",
    &[FRAME_LUA, CLAIM_LUA, include_str!("claim.lua")],
    apply,
);

/// Claims the right to refresh the value with this stamp. Replies whether it was granted.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) stamp: Token,
    pub(crate) token: Token,
    pub(crate) lifetime: Duration,
}

impl Step for Claim {
    type Reply = bool;

    fn update(&self) -> Update {
        Update::new(&SCRIPT)
            .arg(self.stamp.to_bytes())
            .arg(self.token.to_bytes())
            .arg(millis(self.lifetime))
    }

    fn reply(&self, reply: Reply) -> Result<bool> {
        reply.into_int().map(|granted| granted == 1)
    }
}

fn apply(input: Input<'_>) -> Outcome {
    let [stamp, new, lifetime] = input.args else {
        return refused();
    };
    let (Some(Frame::Value(mut value)), Some(new)) = (frame(&input), token(new)) else {
        return refused();
    };
    let now_ms = input.now.as_millis();
    let claimed = value.claim.is_some_and(|claim| claim.is_live(now_ms));
    if Some(value.stamp) != token(stamp) || claimed {
        return refused();
    }
    value.claim = Some(Hold {
        token: new,
        deadline_ms: now_ms + lifetime.as_int().unsigned_abs(),
    });
    Outcome::new(Write::Set(value.to_bytes(), NewTtl::Keep), Reply::Int(1))
}
