//! Token bucket (as in RFC 2697, one rate): a bucket of `burst` tokens that fills at the quota's rate; a request takes its
//! cost out of it.
//!
//! ```text
//! state   level:8 last_us:8 rate:4 full:8       level: what is in the bucket at last_us, in ticks; full: what it holds
//! ```
//!
//! It is GCRA seen from the other side, and decides the same. A clock that goes back makes tokens flow out again, down
//! to an empty bucket and no further.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use larder_store::Script;

use super::{
    Terms,
    backlog::{self, Backlog, Written},
    limits::{self, MOST, Numbers, State},
    proportion,
};

pub(super) static SCRIPT: Script = Script::new(
    "token bucket",
    &[
        proportion::LUA,
        backlog::LUA,
        include_str!("token_bucket.lua"),
        limits::LUA,
    ],
    limits::apply::<TokenBucket>,
);

struct TokenBucket(Backlog);

impl State for TokenBucket {
    const TAG: u8 = b'B';

    fn fresh(terms: Terms, now: u64) -> Self {
        Self(Backlog::none(terms, now))
    }

    fn read(record: &mut Bytes, terms: Terms, now: u64) -> Option<Self> {
        let level = record.try_get_u64().ok()?;
        let last = record.try_get_u64().ok().filter(|last| *last < MOST)?;
        let rate = u64::from(record.try_get_u32().ok()?);
        let full = record.try_get_u64().ok()?;
        let written = Written { rate, full }.checked()?;
        if level > full {
            return None;
        }
        let filled = |passed| flow(passed, written);
        let level = match now.checked_sub(last) {
            Some(passed) => Some((level + filled(passed)).min(full)),
            None => level.checked_sub(filled(last - now)),
        };
        let backlog = full - level.unwrap_or(0);
        let cut = level.is_none();
        Some(Self(Backlog::carried(terms, now, backlog, written, cut)))
    }

    fn terms(record: &[u8]) -> Option<Terms> {
        let mut record = record.get(16..)?;
        Some(Terms {
            rate: u64::from(record.try_get_u32().ok()?),
            period: record.try_get_u64().ok()?,
            burst: 1,
        })
    }

    fn repaired(&self) -> bool {
        self.0.repaired
    }

    fn fits(&self, cost: u64) -> bool {
        self.0.fits(cost)
    }

    fn spend(&mut self, cost: u64) {
        self.0.spend(cost);
    }

    fn refund(&mut self, cost: u64) {
        self.0.refund(cost);
    }

    fn len(&self) -> usize {
        28
    }

    fn write(&self, record: &mut BytesMut) {
        let Backlog {
            terms, now, ticks, ..
        } = self.0;
        record.put_u64(terms.full() - ticks);
        record.put_u64(now);
        record.put_uint(terms.rate, 4);
        record.put_u64(terms.full());
    }

    fn left(&self) -> u64 {
        self.0.left()
    }

    fn report(&self, _cost: u64, numbers: &mut Numbers) {
        self.0.report(numbers);
    }
}

/// What flows in this time, and more than the bucket holds if that much does.
const fn flow(passed_us: u64, written: Written) -> u64 {
    if passed_us > written.span_us() {
        written.full + 1
    } else {
        passed_us * written.rate
    }
}
