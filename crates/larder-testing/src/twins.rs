//! Whether a script's two forms are the same.

use std::{collections::HashMap, io, time::Duration};

use bytes::Bytes;
use larder_store::{Arg, NewTtl, Outcome, Reply, Timestamp, Update, Write};
use redis::{Cmd, Connection, ConnectionLike, Msg, Pipeline, PubSub, Value};

use crate::RedisServer;

/// The time a record has left before each case.
const LEFT_MS: u64 = 1_000_000;
/// How much of it may pass while a case runs.
const SLACK_MS: u64 = 5_000;
const BATCH: usize = 250;
/// What is announced after each batch.
const END: &[u8] = b"end of the batch";
const KEY: &str = "larder-twins";

type Hashes = HashMap<&'static str, String>;

/// One input for both forms of an update.
#[derive(Debug, Clone)]
pub struct Case {
    /// The record before.
    pub record: Option<Bytes>,
    /// The update.
    pub update: Update,
    /// The store's time.
    pub now: Timestamp,
}

/// Runs each case through the Rust form, and through the Lua form on a real server at the same given time, and
/// compares replies, records, times to live and announcements. Returns how many cases there were.
///
/// # Errors
/// If the server fails.
///
/// # Panics
/// At the first case whose forms differ, with both results.
pub async fn assert_equal(server: &RedisServer, cases: Vec<Case>) -> io::Result<usize> {
    let url = server.url();
    let run = move || compare(&url, &cases).map_err(io::Error::other);
    tokio::task::spawn_blocking(run).await?
}

fn compare(url: &str, cases: &[Case]) -> redis::RedisResult<usize> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_connection()?;
    let mut listening = client.get_connection()?;
    let mut announcements = listening.as_pubsub();
    announcements.set_read_timeout(Some(Duration::from_secs(5)))?;
    announcements.subscribe(KEY)?;
    let hashes = load(&mut connection, cases)?;
    for batch in cases.chunks(BATCH) {
        let expected: Vec<_> = batch.iter().map(expect).collect();
        let answers = run(&mut connection, &hashes, batch)?;
        for ((case, expected), answer) in batch.iter().zip(&expected).zip(answers.chunks(4)) {
            check(case, expected, answer);
        }
        for (case, expected) in batch.iter().zip(&expected) {
            check_announcement(case, expected, &mut announcements)?;
        }
        // Nothing else was announced.
        let _: i64 = redis::cmd("PUBLISH")
            .arg(KEY)
            .arg(END)
            .query(&mut connection)?;
        let end: Msg = announcements.get_message()?;
        assert_eq!(end.get_payload_bytes(), END, "announced in Lua only");
    }
    Ok(cases.len())
}

fn expect(case: &Case) -> Outcome {
    case.update.apply(case.record.as_ref(), case.now)
}

/// The hashes of the scripts by their names.
fn load(connection: &mut Connection, cases: &[Case]) -> redis::RedisResult<Hashes> {
    let mut hashes = Hashes::new();
    for case in cases {
        let script = case.update.script();
        if !hashes.contains_key(script.name()) {
            let source = script.source_at_given_time();
            let hash = redis::cmd("SCRIPT")
                .arg("LOAD")
                .arg(source)
                .query(connection)?;
            hashes.insert(script.name(), hash);
        }
    }
    Ok(hashes)
}

/// Four answers a case: setting the record up, the reply, the record, its time left.
fn run(
    connection: &mut Connection,
    hashes: &Hashes,
    batch: &[Case],
) -> redis::RedisResult<Vec<Value>> {
    let mut pipeline = Pipeline::new();
    for case in batch {
        pipeline.add_command(set_up(case));
        pipeline.add_command(script(case, hashes));
        pipeline.cmd("GET").arg(KEY);
        pipeline.cmd("PTTL").arg(KEY);
    }
    let packed = pipeline.get_packed_pipeline();
    connection.req_packed_commands(&packed, 0, batch.len() * 4)
}

fn set_up(case: &Case) -> Cmd {
    let mut command = Cmd::new();
    match &case.record {
        Some(record) => command
            .arg("SET")
            .arg(KEY)
            .arg(&record[..])
            .arg("PX")
            .arg(LEFT_MS),
        None => command.arg("DEL").arg(KEY),
    };
    command
}

fn script(case: &Case, hashes: &Hashes) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    let hash = hashes.get(case.update.script().name());
    command.arg(hash).arg(1).arg(KEY);
    for arg in case.update.args() {
        match arg {
            Arg::Int(int) => command.arg(int),
            Arg::Bytes(bytes) => command.arg(&bytes[..]),
        };
    }
    command.arg(case.now.as_micros());
    command
}

fn check(case: &Case, expected: &Outcome, answer: &[Value]) {
    let [_, reply, record, left] = answer else {
        panic!("four answers a case");
    };
    let now = Value::Int(i64::try_from(case.now.as_micros()).unwrap_or(i64::MAX));
    let wanted_reply = Value::Array(vec![now, value(&expected.reply)]);
    assert_eq!(reply, &wanted_reply, "reply to {case:?}");
    let (wanted_record, wanted_left) = after(case, &expected.write);
    assert_eq!(record, &wanted_record, "record after {case:?}");
    check_left(case, left, wanted_left);
}

/// The record after the case and how long it lives, in milliseconds.
fn after(case: &Case, write: &Write) -> (Value, Option<u64>) {
    let kept = || {
        let record = case.record.as_ref();
        record.map(|record| Value::BulkString(record.to_vec()))
    };
    let before = || case.record.as_ref().map(|_| LEFT_MS);
    match write {
        Write::Keep => (kept().unwrap_or_default(), before()),
        Write::Delete => (Value::Nil, None),
        Write::Set(bytes, ttl) | Write::SetOrDelete(bytes, ttl) => {
            let left = match ttl {
                NewTtl::Keep => before(),
                NewTtl::Millis(millis) => Some(*millis),
            };
            (Value::BulkString(bytes.to_vec()), left)
        }
    }
}

fn check_left(case: &Case, left: &Value, wanted: Option<u64>) {
    let Value::Int(left) = left else {
        panic!("PTTL replies a number");
    };
    match wanted {
        None => assert!(*left < 0, "{left} ms left after {case:?}"),
        Some(wanted) => {
            let most = i64::try_from(wanted).unwrap_or(i64::MAX);
            let least = i64::try_from(wanted.saturating_sub(SLACK_MS)).unwrap_or(i64::MAX);
            assert!(
                (least..=most).contains(left),
                "{left} ms left instead of {wanted} after {case:?}"
            );
        }
    }
}

fn check_announcement(
    case: &Case,
    expected: &Outcome,
    announcements: &mut PubSub<'_>,
) -> redis::RedisResult<()> {
    let Some(wanted) = &expected.notify else {
        return Ok(());
    };
    let message: Msg = announcements.get_message()?;
    let heard = message.get_payload_bytes();
    assert_eq!(heard, &wanted[..], "announcement after {case:?}");
    Ok(())
}

fn value(reply: &Reply) -> Value {
    match reply {
        Reply::Nil => Value::Nil,
        Reply::Int(int) => Value::Int(*int),
        Reply::Bytes(bytes) => Value::BulkString(bytes.to_vec()),
        Reply::List(list) => Value::Array(list.iter().map(value).collect()),
    }
}
