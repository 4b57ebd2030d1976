//! begin: a writer is about to change the database.

use std::time::Duration;

use larder_store::{Input, NewTtl, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, HOLDS_LUA, frame, millis, refused, token, wake};
use crate::{
    frame::{Frame, Hold, HoldsFrame},
    token::Token,
};

pub(super) static SCRIPT: Script = Script::new(
    "begin",
    &[FRAME_LUA, HOLDS_LUA, include_str!("begin.lua")],
    apply,
);

/// Holds the key: nobody fills it until the hold ends or runs out.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) token: Token,
    pub(crate) lifetime: Duration,
}

impl Step for Begin {
    type Reply = ();

    fn update(&self) -> Update {
        Update::new(&SCRIPT)
            .arg(self.token.to_bytes())
            .arg(millis(self.lifetime))
    }

    fn reply(&self, reply: Reply) -> Result<()> {
        reply.into_int().map(drop)
    }
}

fn apply(input: Input<'_>) -> Outcome {
    let [new, lifetime] = input.args else {
        return refused();
    };
    let Some(new) = token(new) else {
        return refused();
    };
    let now_ms = input.now.as_millis();
    let hold = Hold {
        token: new,
        deadline_ms: now_ms + lifetime.as_int().unsigned_abs(),
    };
    let before = frame(&input);
    let (live, _) = match &before {
        Some(Frame::Holds(holds)) => holds.live_without(new, now_ms),
        _ => (Vec::new(), false),
    };
    let mut after = HoldsFrame {
        tainted: !live.is_empty(),
        holds: live,
    };
    after.holds.push(hold);
    let ttl = NewTtl::Millis(after.latest_deadline_ms() - now_ms);
    Outcome::new(Write::Set(after.to_bytes(), ttl), Reply::Int(1))
        .notify(before.as_ref().and_then(wake))
}
