//! The commands, written once.

use std::time::Duration;

use larder_store::{Arg, Key, Update};
use redis::Cmd;

/// How a script is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By its hash; the server may not know it.
    Hash,
    /// By its source; the server knows it from then on.
    Source,
}

pub(crate) fn get(key: &Key) -> Cmd {
    let mut command = Cmd::with_capacity(2, 3 + key.len());
    command.arg("GET").arg(key.as_bytes());
    command
}

pub(crate) fn mget(keys: &[Key]) -> Cmd {
    keyed("MGET", keys)
}

/// Only strings: nothing else is a record.
pub(crate) fn scan(prefix: &[u8], cursor: u64) -> Cmd {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^' | b'-') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern);
    command.arg("COUNT").arg(500).arg("TYPE").arg("string");
    command
}

pub(crate) fn unlink(keys: &[Key]) -> Cmd {
    keyed("UNLINK", keys)
}

pub(crate) fn set(key: &Key, value: &[u8], ttl: Option<Duration>) -> Cmd {
    let mut command = Cmd::with_capacity(5, 32 + key.len() + value.len());
    command.arg("SET").arg(key.as_bytes()).arg(value);
    if let Some(ttl) = ttl {
        command.arg("PX").arg(millis(ttl));
    }
    command
}

pub(crate) fn run(key: &Key, update: &Update, by: By) -> Cmd {
    let script = update.script();
    let (name, script) = match by {
        By::Hash => ("EVALSHA", script.sha1()),
        By::Source => ("EVAL", script.source()),
    };
    let args = update.args();
    let bytes: usize = args.iter().map(len).sum();
    let size = name.len() + script.len() + 1 + key.len() + bytes;
    let mut command = Cmd::with_capacity(4 + args.len(), size);
    command.arg(name).arg(script).arg(1).arg(key.as_bytes());
    for arg in args {
        match arg {
            Arg::Int(int) => command.arg(int),
            Arg::Bytes(bytes) => command.arg(&bytes[..]),
        };
    }
    command
}

/// How many bytes an argument has at the most.
fn len(arg: &Arg) -> usize {
    match arg {
        Arg::Int(_) => 20,
        Arg::Bytes(bytes) => bytes.len(),
    }
}

fn keyed(name: &str, keys: &[Key]) -> Cmd {
    let bytes: usize = keys.iter().map(|key| key.len()).sum();
    let mut command = Cmd::with_capacity(keys.len() + 1, name.len() + bytes);
    command.arg(name);
    for key in keys {
        command.arg(key.as_bytes());
    }
    command
}

/// Whole milliseconds, rounded up, at least one and no more than Redis takes.
fn millis(ttl: Duration) -> u64 {
    const MOST: u128 = 1 << 52;
    u64::try_from(ttl.as_micros().div_ceil(1_000).clamp(1, MOST)).unwrap_or(1 << 52)
}
