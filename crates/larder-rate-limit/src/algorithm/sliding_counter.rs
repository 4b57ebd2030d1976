//! Sliding window counter: the counts of this window and of the one before, which weighs as much as of it is still within
//! the last period (Cloudflare, "How we built rate limiting capable of scaling to millions of domains", 2017).
//!
//! ```text
//! state   start_us:8 before:8 count:8 limit:8 period:8         the quota it was written under
//! ```
//!
//! The weight is rounded up to whole requests. It takes the window before for evenly filled: if all of it came at its
//! end, up to twice the limit is admitted in one period; no more than the limit is in any aligned window. Of a changed
//! limit the proportions that are spent of both windows are kept; of a changed period all that is counted moves into the window of now. A clock that goes back stays at
//! the start of the later window, for a period at the most.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use larder_store::Script;

use super::{
    Report, Terms,
    limits::{self, Numbers, State},
    proportion::{self, proportion},
    window::{self, Written, start_of},
};

pub(super) static SCRIPT: Script = Script::new(
    "sliding window counter",
    &[
        proportion::LUA,
        window::LUA,
        include_str!("sliding_counter.lua"),
        limits::LUA,
    ],
    limits::apply::<SlidingCounter>,
);

struct SlidingCounter {
    terms: Terms,
    now: u64,
    start: u64,
    counts: Counts,
    repaired: bool,
}

/// The counts of a window and of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    before: u64,
    count: u64,
}

impl Counts {
    const NONE: Self = Self {
        before: 0,
        count: 0,
    };

    /// How much is counted where `rest` of the window of `period` is left.
    const fn spent(self, rest: u64, period: u64) -> u64 {
        let rest = if rest > period { period } else { rest };
        proportion(self.before, rest, period) + self.count
    }

    /// The same where this much of the window is left, or has passed since its end.
    const fn spent_after(self, passed: u64, ends_in: u64, period: u64) -> u64 {
        if passed < ends_in {
            return self.spent(ends_in - passed, period);
        }
        let next = Self {
            before: self.count,
            count: 0,
        };
        next.spent((ends_in + period).saturating_sub(passed), period)
    }
}

impl SlidingCounter {
    const fn ends_in(&self) -> u64 {
        self.start + self.terms.period - self.now
    }

    /// Keeps the proportion that was spent of another quota. Windows of the same period stay what they are; otherwise all that is
    /// counted moves into the window of now.
    const fn carry(&mut self, moment: u64, written: Written) {
        let Written { limit, period, .. } = written;
        if period == self.terms.period {
            self.counts.before = proportion(self.terms.rate, self.counts.before, limit);
            self.counts.count = proportion(self.terms.rate, self.counts.count, limit);
            return;
        }
        let spent = self.counts.spent(self.start + period - moment, period);
        let spent = if spent > limit { limit } else { spent };
        self.counts = Counts {
            before: 0,
            count: proportion(self.terms.rate, spent, limit),
        };
        self.start = start_of(moment, self.terms.period);
    }
}

/// The counts at this moment, and the start of their window.
const fn counts_at(moment: u64, written: Written, counts: Counts) -> (u64, Counts) {
    let Written { start, period, .. } = written;
    if moment >= start + 2 * period {
        (start_of(moment, period), Counts::NONE)
    } else if moment >= start + period {
        let next = Counts {
            before: counts.count,
            count: 0,
        };
        (start + period, next)
    } else {
        (start, counts)
    }
}

impl State for SlidingCounter {
    const TAG: u8 = b'C';

    fn fresh(terms: Terms, now: u64) -> Self {
        Self {
            terms,
            now,
            start: start_of(now, terms.period),
            counts: Counts::NONE,
            repaired: false,
        }
    }

    fn read(record: &mut Bytes, terms: Terms, now: u64) -> Option<Self> {
        let start = record.try_get_u64().ok()?;
        let before = record.try_get_u64().ok()?;
        let count = record.try_get_u64().ok()?;
        let limit = record.try_get_u64().ok()?;
        let period = record.try_get_u64().ok()?;
        let written = Written::checked(start, limit, period, terms.period, now)?;
        if before.max(count) > limit {
            return None;
        }
        let moment = now.max(written.start);
        let (start, counts) = counts_at(moment, written, Counts { before, count });
        let mut counter = Self {
            terms,
            now,
            start,
            counts,
            repaired: written.cut,
        };
        if !written.is_of(terms) {
            let left = reset_us(counts, start + period - now, period);
            counter.carry(moment, written);
            counter.repaired |= counter.left() < left;
        }
        Some(counter)
    }

    fn terms(record: &[u8]) -> Option<Terms> {
        Terms::of_window(record.get(24..)?)
    }

    fn repaired(&self) -> bool {
        self.repaired
    }

    fn fits(&self, cost: u64) -> bool {
        let spent = self.counts.spent(self.ends_in(), self.terms.period);
        spent.saturating_add(cost) <= self.terms.rate
    }

    fn spend(&mut self, cost: u64) {
        self.counts.count += cost;
    }

    /// The window of now first.
    fn refund(&mut self, cost: u64) {
        let rest = cost.saturating_sub(self.counts.count);
        self.counts.count = self.counts.count.saturating_sub(cost);
        self.counts.before = self.counts.before.saturating_sub(rest);
    }

    fn len(&self) -> usize {
        40
    }

    fn write(&self, record: &mut BytesMut) {
        record.put_u64(self.start);
        record.put_u64(self.counts.before);
        record.put_u64(self.counts.count);
        record.put_u64(self.terms.rate);
        record.put_u64(self.terms.period);
    }

    fn left(&self) -> u64 {
        reset_us(self.counts, self.ends_in(), self.terms.period)
    }

    fn report(&self, _cost: u64, numbers: &mut Numbers) {
        let Counts { before, count } = self.counts;
        numbers.extend([count, before, self.ends_in()].map(u64::cast_signed));
    }
}

/// When both counts weigh nothing any more.
const fn reset_us(counts: Counts, ends_in: u64, period: u64) -> u64 {
    match counts {
        Counts {
            count: 0,
            before: 0,
        } => 0,
        Counts { count: 0, .. } => ends_in,
        _ => ends_in + period,
    }
}

/// What the numbers in a reply say: the count, the one before, and when the window ends.
pub(super) fn report(
    terms: Terms,
    cost: u64,
    numbers: &mut impl Iterator<Item = i64>,
) -> Option<Report> {
    let (refused, count) = super::first(numbers)?;
    let counts = Counts {
        count,
        before: super::next(numbers)?,
    };
    let ends_in = super::next(numbers)?;
    let wait = || (cost <= terms.rate).then(|| wait_us(terms, cost, counts, ends_in));
    let spent = counts.spent(ends_in, terms.period);
    Some(Report {
        refused,
        remaining: terms.rate.saturating_sub(spent),
        retry_us: if refused { wait() } else { Some(0) },
        reset_us: reset_us(counts, ends_in, terms.period),
    })
}

/// The first moment at which the cost fits. What is counted never grows by itself, so it can be halved in on.
fn wait_us(terms: Terms, cost: u64, counts: Counts, ends_in: u64) -> u64 {
    let fits = |passed| {
        let spent = counts.spent_after(passed, ends_in, terms.period);
        spent.saturating_add(cost) <= terms.rate
    };
    let (mut refused, mut fitting) = (0, ends_in + terms.period);
    while fitting - refused > 1 {
        let middle = refused + (fitting - refused) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            refused = middle;
        }
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 5 in 1,000 µs.
    const FIVE: Terms = Terms {
        rate: 5,
        period: 1_000,
        burst: 5,
    };

    fn retry(cost: u64, count: i64, before: i64, ends_in: i64) -> Option<u64> {
        let mut numbers = [-1 - count, before, ends_in].into_iter();
        report(FIVE, cost, &mut numbers).expect("a report").retry_us
    }

    #[test]
    fn the_first_moment_is_found_in_this_window_or_the_next() {
        // 4 of before are left when 800 µs of the window are, 0 when it ends.
        assert_eq!(retry(1, 0, 5, 1_000), Some(200));
        assert_eq!(retry(5, 0, 5, 1_000), Some(1_000));
        // The full count must slide out of the next window.
        assert_eq!(retry(1, 5, 0, 1_000), Some(1_200));
        assert_eq!(retry(5, 5, 0, 10), Some(1_010));
        assert_eq!(retry(6, 5, 0, 10), None);
    }

    #[test]
    fn a_window_that_the_clock_left_backwards_weighs_fully() {
        assert_eq!(retry(1, 0, 5, 1_500), Some(700));
    }
}
