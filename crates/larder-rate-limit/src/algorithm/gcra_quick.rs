//! GCRA in its common case: one quota, under which the record was written, and something to spend. It decides what the complete
//! step decides, in a fifth of the time, and leaves the other cases to that one; `gcra_quick.lua` is its twin.

use bytes::Bytes;
use larder_store::{Input, NewTtl, Outcome, Reply, Write};

use super::{
    Terms,
    limits::{OURS, SLACK_MS},
};

/// A record of one quota: the head, the tag, and `tat_us:7 part:4 rate:4 full:7`.
const LEN: usize = 28;
const TAT: usize = 6;
const PART: usize = 13;
const RATE: usize = 17;
const FULL: usize = 21;

/// The outcome; `None` for the complete step.
pub(super) fn apply(input: &Input<'_>, tag: u8) -> Option<Outcome> {
    let [cost, terms] = input.args else {
        return None;
    };
    let cost = u64::try_from(cost.as_int()).ok().filter(|cost| *cost > 0)?;
    let terms = Terms::unpack(terms.as_bytes().try_into().ok()?);
    let (rate, full, now) = (terms.rate, terms.full(), input.now.as_micros());
    let backlog = match input.record {
        None => 0,
        Some(record) => backlog(record, tag, &terms, now)?,
    };
    let spent = cost
        .checked_mul(terms.period)
        .and_then(|spends| spends.checked_add(backlog))
        .filter(|spent| *spent <= full);
    let Some(spent) = spent else {
        return Some(Outcome::keep(Reply::Int(-1 - backlog.cast_signed())));
    };
    let ttl = spent.div_ceil(rate).div_ceil(1_000) + SLACK_MS;
    let record = record(tag, &terms, now, spent);
    let write = Write::Set(record, NewTtl::Millis(ttl));
    Some(Outcome::new(write, Reply::Int(spent.cast_signed())))
}

/// What is spent by the record, if it was written under these very terms.
fn backlog(record: &Bytes, tag: u8, terms: &Terms, now: u64) -> Option<u64> {
    let record: &[u8; LEN] = record[..].try_into().ok()?;
    if record[..OURS.len()] != OURS[..] || record[OURS.len()] != tag {
        return None;
    }
    let (tat, part) = (number(&record[TAT..PART]), number(&record[PART..RATE]));
    let same = number(&record[RATE..FULL]) == terms.rate && number(&record[FULL..]) == terms.full();
    let backlog = match tat.checked_sub(now) {
        None => 0,
        Some(owed) => owed.checked_mul(terms.rate)?.checked_add(part)?,
    };
    (same && part < terms.rate && backlog <= terms.full()).then_some(backlog)
}

fn record(tag: u8, terms: &Terms, now: u64, spent: u64) -> Bytes {
    let mut record = [0; LEN];
    record[..OURS.len()].copy_from_slice(OURS);
    record[OURS.len()] = tag;
    let (rate, full) = (terms.rate, terms.full());
    let fields = [
        (TAT, PART, now + spent / rate),
        (PART, RATE, spent % rate),
        (RATE, FULL, rate),
        (FULL, LEN, full),
    ];
    for (from, to, field) in fields {
        record[from..to].copy_from_slice(&field.to_be_bytes()[8 - (to - from)..]);
    }
    Bytes::copy_from_slice(&record)
}

/// A big-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
