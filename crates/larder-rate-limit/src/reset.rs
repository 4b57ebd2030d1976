//! reset: forgets an identity.

use bytes::Bytes;
use larder_store::{Input, Outcome, Reply, Script, Write};

use crate::{
    Result,
    algorithm::{FOREIGN, OURS, is_foreign},
    error::foreign,
};

pub(crate) static SCRIPT: Script = Script::new("reset", &[include_str!("reset.lua")], apply);

fn apply(input: Input<'_>) -> Outcome {
    match input.record {
        None => Outcome::keep(Reply::Int(0)),
        Some(record) if record.starts_with(OURS) => Outcome::new(Write::Delete, Reply::Int(1)),
        Some(_) => Outcome::keep(Reply::Bytes(Bytes::from_static(FOREIGN))),
    }
}

/// What the script's reply says.
pub(crate) fn done(reply: &Reply) -> Result<()> {
    if is_foreign(reply) {
        return Err(foreign());
    }
    Ok(())
}
