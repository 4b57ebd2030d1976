//! fill: the value was loaded under this lease.

use larder_store::{Input, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, NewValue, frame, millis, refused, token, ttl, value, wake};
use crate::{frame::Frame, token::Token};

pub(super) static SCRIPT: Script =
    Script::new("fill", &[FRAME_LUA, include_str!("fill.lua")], apply);

/// Writes the value if the record is exactly the lease it was loaded under. Replies whether it was.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) token: Token,
    pub(crate) value: NewValue,
}

impl Step for Fill {
    type Reply = bool;

    fn update(&self) -> Update {
        Update::new(&SCRIPT)
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
    let [holder, flags, sealed, ttl_ms] = input.args else {
        return refused();
    };
    match frame(&input) {
        Some(frame @ Frame::Lease(lease)) if Some(lease.token) == token(holder) => {
            let record = value(lease.token, flags, sealed, &input);
            Outcome::new(Write::Set(record, ttl(ttl_ms)), Reply::Int(1)).notify(wake(&frame))
        }
        _ => refused(),
    }
}
