//! refresh: the value was loaded again under this claim.

use larder_store::{Input, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{CLAIM_LUA, FRAME_LUA, NewValue, frame, millis, refused, token, ttl, value};
use crate::{frame::Frame, token::Token};

pub(super) static SCRIPT: Script = Script::new(
    "refresh",
    &[FRAME_LUA, CLAIM_LUA, include_str!("refresh.lua")],
    apply,
);

/// Replaces the value that was claimed. Replies whether it and the claim were still there.
#[derive(Debug)]
pub(crate) struct Refresh {
    pub(crate) stamp: Token,
    /// The claim's token; the new value's stamp.
    pub(crate) token: Token,
    pub(crate) value: NewValue,
}

impl Step for Refresh {
    type Reply = bool;

    fn update(&self) -> Update {
        Update::new(&SCRIPT)
            .arg(self.stamp.to_bytes())
            .arg(self.token.to_bytes())
            .arg(self.value.flags())
            .arg(self.value.sealed.clone())
            .arg(millis(self.value.ttl))
    }

    fn reply(&self, reply: Reply) -> Result<bool> {
        reply.into_int().map(|stored| stored == 1)
    }
}

fn apply(input: Input<'_>) -> Outcome {
    let [stamp, claimant, flags, sealed, ttl_ms] = input.args else {
        return refused();
    };
    let (Some(Frame::Value(old)), Some(claimant)) = (frame(&input), token(claimant)) else {
        return refused();
    };
    let claimed = old.claim.is_some_and(|claim| claim.token == claimant);
    if Some(old.stamp) != token(stamp) || !claimed {
        return refused();
    }
    let record = value(claimant, flags, sealed, &input);
    Outcome::new(Write::Set(record, ttl(ttl_ms)), Reply::Int(1))
}
