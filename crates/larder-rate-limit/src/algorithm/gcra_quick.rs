//! GCRA in its common case: one quota, under which the record was written, and something to spend. It decides what the complete
//! step decides, in a fifth of the time, and leaves the other cases to that one; `gcra_quick.lua` is its twin.

use bytes::Bytes;
use larder_store::{Input, NewTtl, Outcome, Reply, Write};

use super::{
    Terms,
    gcra::Layout,
    limits::{OURS, SLACK_MS},
};

/// What a record starts with, and the tag.
const HEAD: usize = OURS.len() + 1;

/// The outcome; `None` for the complete step.
#[inline]
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
    let (left, part) = (spent / rate, spent % rate);
    let ttl = (left + u64::from(part > 0)).div_ceil(1_000) + SLACK_MS;
    let state = Layout {
        tat: now + left,
        part,
        rate,
        full,
    };
    let write = Write::Set(record(tag, &state), NewTtl::Millis(ttl));
    Some(Outcome::new(write, Reply::Int(spent.cast_signed())))
}

/// What is spent by the record, if it was written under these very terms.
fn backlog(record: &Bytes, tag: u8, terms: &Terms, now: u64) -> Option<u64> {
    let (head, record) = record.split_first_chunk::<HEAD>()?;
    let record = Layout::read(record.try_into().ok()?);
    if head[..OURS.len()] != OURS[..] || head[OURS.len()] != tag {
        return None;
    }
    let same = record.rate == terms.rate && record.full == terms.full();
    let backlog = match record.tat.checked_sub(now) {
        None => 0,
        Some(owed) => owed.checked_mul(terms.rate)?.checked_add(record.part)?,
    };
    (same && record.part < terms.rate && backlog <= terms.full()).then_some(backlog)
}

/// The record of one state.
fn record(tag: u8, state: &Layout) -> Bytes {
    let mut record = [0; HEAD + Layout::LEN];
    record[..OURS.len()].copy_from_slice(OURS);
    record[OURS.len()] = tag;
    record[HEAD..].copy_from_slice(&state.to_bytes());
    Bytes::copy_from_slice(&record)
}
