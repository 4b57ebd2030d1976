//! Fixed window: a count for each period, windows starting at multiples of the period since the Unix epoch.
//!
//! ```text
//! state   start_us:8 count:8 limit:8 period:8         the quota it was written under
//! ```
//!
//! Up to twice the limit is admitted around the end of a window. A clock that goes back stays in the later window, for a
//! period at the most.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use larder_store::Script;

use super::{
    Report, Terms,
    limits::{self, Numbers, State},
    proportion::{self, proportion},
    window::{self, Written, start_of},
};

pub(super) static SCRIPT: Script = Script::new(
    "fixed window",
    &[
        proportion::LUA,
        window::LUA,
        include_str!("fixed_window.lua"),
        limits::LUA,
    ],
    limits::apply::<FixedWindow>,
);

struct FixedWindow {
    terms: Terms,
    now: u64,
    start: u64,
    count: u64,
    repaired: bool,
}

impl FixedWindow {
    const fn ends_in(&self) -> u64 {
        self.start + self.terms.period - self.now
    }
}

impl State for FixedWindow {
    const TAG: u8 = b'F';

    fn fresh(terms: Terms, now: u64) -> Self {
        Self {
            terms,
            now,
            start: start_of(now, terms.period),
            count: 0,
            repaired: false,
        }
    }

    fn read(record: &mut Bytes, terms: Terms, now: u64) -> Option<Self> {
        let start = record.try_get_u64().ok()?;
        let count = record.try_get_u64().ok()?;
        let limit = record.try_get_u64().ok().filter(|limit| count <= *limit)?;
        let period = record.try_get_u64().ok()?;
        let written = Written::checked(start, limit, period, terms.period, now)?;
        let moment = now.max(written.start);
        let is_over = moment >= written.start + written.period;
        let count = if is_over { 0 } else { count };
        let mut window = Self {
            terms,
            now,
            start: start_of(moment, terms.period),
            count,
            repaired: written.cut,
        };
        if !written.is_of(terms) {
            window.count = proportion(terms.rate, count, limit);
            window.repaired |= window.left() < written.left(count, now);
        }
        Some(window)
    }

    fn terms(record: &[u8]) -> Option<Terms> {
        Terms::of_window(record.get(16..)?)
    }

    fn repaired(&self) -> bool {
        self.repaired
    }

    fn fits(&self, cost: u64) -> bool {
        cost <= self.terms.rate - self.count
    }

    fn spend(&mut self, cost: u64) {
        self.count += cost;
    }

    fn refund(&mut self, cost: u64) {
        self.count = self.count.saturating_sub(cost);
    }

    fn len(&self) -> usize {
        32
    }

    fn write(&self, record: &mut BytesMut) {
        record.put_u64(self.start);
        record.put_u64(self.count);
        record.put_u64(self.terms.rate);
        record.put_u64(self.terms.period);
    }

    fn left(&self) -> u64 {
        if self.count == 0 { 0 } else { self.ends_in() }
    }

    fn report(&self, _cost: u64, numbers: &mut Numbers) {
        numbers.push(self.count.cast_signed());
        numbers.push(self.ends_in().cast_signed());
    }
}

/// What the numbers in a reply say: how many are counted, and when the window ends.
pub(super) fn report(
    terms: Terms,
    cost: u64,
    numbers: &mut impl Iterator<Item = i64>,
) -> Option<Report> {
    let (refused, count) = super::first(numbers)?;
    let left = super::next(numbers)?;
    let wait = (cost <= terms.rate).then_some(left);
    Some(Report {
        refused,
        remaining: terms.rate.saturating_sub(count),
        retry_us: if refused { wait } else { Some(0) },
        reset_us: if count == 0 { 0 } else { left },
    })
}
