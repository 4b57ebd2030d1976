//! An update that does what it is told.

use bytes::Bytes;
use larder_store::{Arg, Input, NewTtl, Outcome, Reply, Script, Update, Write};

static PROBE: Script = Script::new("probe", &[include_str!("probe.lua")], apply);

/// `what` is one of `set`, `set-or-delete`, `append`, `delete`, `keep`, `nil`. A TTL of 0 keeps the record's.
pub(super) fn probe(what: &'static str, bytes: &'static [u8], ttl_ms: i64) -> Update {
    announcing(what, bytes, ttl_ms, b"")
}

pub(super) fn announcing(
    what: &'static str,
    bytes: &'static [u8],
    ttl_ms: i64,
    message: &'static [u8],
) -> Update {
    Update::new(&PROBE)
        .arg(Bytes::from_static(what.as_bytes()))
        .arg(Bytes::from_static(bytes))
        .arg(ttl_ms)
        .arg(Bytes::from_static(message))
}

fn apply(input: Input<'_>) -> Outcome {
    let [
        Arg::Bytes(what),
        Arg::Bytes(bytes),
        Arg::Int(ttl_ms),
        Arg::Bytes(message),
    ] = input.args
    else {
        return Outcome::keep(Reply::Nil);
    };
    let ttl = match ttl_ms {
        0 => NewTtl::Keep,
        millis => NewTtl::Millis(millis.unsigned_abs()),
    };
    let record = input.record.cloned();
    let before = record.clone().map_or(Reply::Nil, Reply::Bytes);
    let reply = Reply::List(vec![before, Reply::Bytes(what.clone()), Reply::Int(42)]);
    let outcome = match &what[..] {
        b"nil" => Outcome::keep(Reply::Nil),
        b"set" => Outcome::new(Write::Set(bytes.clone(), ttl), reply),
        b"set-or-delete" => Outcome::new(Write::SetOrDelete(bytes.clone(), ttl), reply),
        b"append" => {
            let joined = [&record.unwrap_or_default()[..], bytes].concat();
            Outcome::new(Write::Set(joined.into(), ttl), reply)
        }
        b"delete" => Outcome::new(Write::Delete, reply),
        _ => Outcome::keep(reply),
    };
    outcome.notify(Some(message.clone()).filter(|message| !message.is_empty()))
}

#[cfg(test)]
mod tests {
    use larder_store::Timestamp;
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

    use super::*;
    use crate::{RedisServer, twins, twins::Case};

    #[tokio::test]
    async fn rust_and_lua_are_the_same() {
        const CASES: usize = 10_000;
        const WHAT: [&str; 6] = ["set", "set-or-delete", "append", "delete", "keep", "nil"];
        const BYTES: [&[u8]; 4] = [b"", b"a", b"\0\xff\r\n", b"0123456789"];
        let mut random = StdRng::seed_from_u64(7);
        let case = || {
            let mut pick = || *BYTES.choose(&mut random).unwrap_or(&BYTES[0]);
            let (record, bytes, message) = (pick(), pick(), pick());
            let what = WHAT.choose(&mut random).unwrap_or(&WHAT[0]);
            let ttl_ms = random.random_range(0..3) * 50_000;
            Case {
                record: Some(Bytes::from_static(record)).filter(|_| random.random()),
                update: announcing(what, bytes, ttl_ms, message),
                now: Timestamp::from_micros(1_700_000_000_000_000),
            }
        };
        let cases = std::iter::repeat_with(case).take(CASES).collect();
        let server = RedisServer::start().await.expect("a server");
        let compared = twins::assert_equal(&server, cases).await;
        assert_eq!(compared.expect("a comparison"), CASES);
    }
}
