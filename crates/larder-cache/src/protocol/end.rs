//! end: the writer is done.

use larder_store::{Input, NewTtl, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, HOLDS_LUA, NewValue, frame, refused, taint, token, ttl, value, wake};
use crate::{
    frame::{Frame, HoldsFrame},
    token::Token,
};

pub(super) static SCRIPT: Script = Script::new(
    "end",
    &[FRAME_LUA, HOLDS_LUA, include_str!("end.lua")],
    apply,
);

/// Ends the hold; with a value, stores it if no other writer overlapped.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) token: Token,
    pub(crate) value: Option<NewValue>,
}

/// The answer to [`End`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The value is in the cache.
    Stored,
    /// The hold was there and is gone; so is whatever was cached.
    Released,
    /// The hold was not there any more; whatever had come in its place was dropped.
    Lost,
}

impl Step for End {
    type Reply = Ended;

    fn update(&self) -> Update {
        let update = Update::new(&SCRIPT).arg(self.token.to_bytes());
        NewValue::arg(update, self.value.as_ref())
    }

    fn reply(&self, reply: Reply) -> Result<Ended> {
        reply.into_int().map(|ended| match ended {
            2 => Ended::Stored,
            1 => Ended::Released,
            _ => Ended::Lost,
        })
    }
}

fn apply(input: Input<'_>) -> Outcome {
    let [holder, sealed, flags, ttl_ms] = input.args else {
        return refused();
    };
    let Some(holder) = token(holder) else {
        return refused();
    };
    let holds = match frame(&input) {
        None => return refused(),
        Some(Frame::Holds(holds)) => holds,
        Some(frame) => return Outcome::new(Write::Delete, Reply::Int(0)).notify(wake(&frame)),
    };
    let now_ms = input.now.as_millis();
    let (live, found) = holds.live_without(holder, now_ms);
    if !found {
        return Outcome::new(taint(holds), Reply::Int(0));
    }
    if !live.is_empty() {
        let left = HoldsFrame {
            tainted: true,
            holds: live,
        };
        let ttl = NewTtl::Millis(left.latest_deadline_ms() - now_ms);
        return Outcome::new(Write::SetOrDelete(left.to_bytes(), ttl), Reply::Int(1));
    }
    if sealed.as_bytes().is_empty() || holds.tainted {
        return Outcome::new(Write::Delete, Reply::Int(1));
    }
    let record = value(holder, flags, sealed, &input);
    Outcome::new(Write::SetOrDelete(record, ttl(ttl_ms)), Reply::Int(2))
}
