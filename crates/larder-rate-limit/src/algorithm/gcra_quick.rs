//! GCRA in its common case: one quota, under which the record was written, and something to spend. It decides what the complete
//! step decides, in a fifth of the time, and leaves the other cases to that one; `gcra_quick.lua` is its twin.

use bytes::Bytes;
use larder_store::{Input, NewTtl, Outcome, Reply, Write};

use super::{
    Terms,
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
    let record = Record {
        tat: now + left,
        part,
        rate,
        full,
    };
    let write = Write::Set(record.write(tag), NewTtl::Millis(ttl));
    Some(Outcome::new(write, Reply::Int(spent.cast_signed())))
}

/// What is spent by the record, if it was written under these very terms.
fn backlog(record: &Bytes, tag: u8, terms: &Terms, now: u64) -> Option<u64> {
    let (head, record) = record.split_first_chunk::<HEAD>()?;
    let record = Record::read(record.try_into().ok()?);
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

/// What follows the head of a record: `tat_us:7 part:4 rate:4 full:7`.
struct Record {
    tat: u64,
    part: u64,
    rate: u64,
    full: u64,
}

impl Record {
    const LEN: usize = 22;

    fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [t1, t2, t3, t4, t5, t6, t7, rest @ ..] = *bytes;
        let [p1, p2, p3, p4, r1, r2, r3, r4, f1, f2, f3, f4, f5, f6, f7] = rest;
        Self {
            tat: u64::from_be_bytes([0, t1, t2, t3, t4, t5, t6, t7]),
            part: u32::from_be_bytes([p1, p2, p3, p4]).into(),
            rate: u32::from_be_bytes([r1, r2, r3, r4]).into(),
            full: u64::from_be_bytes([0, f1, f2, f3, f4, f5, f6, f7]),
        }
    }

    /// The whole record, of numbers that fit.
    fn write(&self, tag: u8) -> Bytes {
        let mut record = [0; HEAD + Self::LEN];
        let (head, rest) = record.split_at_mut(HEAD);
        head[..OURS.len()].copy_from_slice(OURS);
        head[OURS.len()] = tag;
        rest[..7].copy_from_slice(&self.tat.to_be_bytes()[1..]);
        rest[7..11].copy_from_slice(&self.part.to_be_bytes()[4..]);
        rest[11..15].copy_from_slice(&self.rate.to_be_bytes()[4..]);
        rest[15..].copy_from_slice(&self.full.to_be_bytes()[1..]);
        Bytes::copy_from_slice(&record)
    }
}
