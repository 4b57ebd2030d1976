//! lease: may I load?

use std::time::Duration;

use bytes::Bytes;
use larder_store::{Input, NewTtl, Outcome, Reply, Result, Script, Step, Update, Write};

use super::{FRAME_LUA, millis, token};
use crate::{frame::LeaseFrame, token::Token};

pub(super) static SCRIPT: Script =
    Script::new("lease", &[FRAME_LUA, include_str!("lease.lua")], apply);

/// Asks for the lease on a key that was seen empty, or that held these undecodable bytes.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) token: Token,
    pub(crate) lifetime: Duration,
    /// Bytes of ours that can't be decoded: replaced if they are still there.
    pub(crate) replace: Option<Bytes>,
}

/// The answer to [`Lease`].
#[derive(Debug)]
pub(crate) enum Leased {
    Granted,
    /// The record that is there.
    Refused(Bytes),
}

impl Step for Lease {
    type Reply = Leased;

    fn update(&self) -> Update {
        let update = Update::new(&SCRIPT)
            .arg(self.token.to_bytes())
            .arg(millis(self.lifetime));
        match &self.replace {
            Some(record) => update.arg(record.clone()),
            None => update,
        }
    }

    fn reply(&self, reply: Reply) -> Result<Leased> {
        match reply {
            Reply::Int(_) => Ok(Leased::Granted),
            record => record.into_bytes().map(Leased::Refused),
        }
    }
}

fn apply(input: Input<'_>) -> Outcome {
    let [new, lifetime, replace @ ..] = input.args else {
        return Outcome::keep(Reply::Nil);
    };
    let replaced = |record: &Bytes| replace.iter().any(|replace| record == replace.as_bytes());
    match (input.record, token(new)) {
        (Some(record), _) if !replaced(record) => Outcome::keep(Reply::Bytes(record.clone())),
        (_, Some(token)) => {
            let lease = LeaseFrame {
                token,
                waited: false,
            };
            let ttl = NewTtl::Millis(lifetime.as_int().unsigned_abs());
            Outcome::new(Write::Set(lease.to_bytes(), ttl), Reply::Int(1))
        }
        (_, None) => Outcome::keep(Reply::Nil),
    }
}
