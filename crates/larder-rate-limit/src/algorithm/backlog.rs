//! What GCRA and the token bucket share: how much of the burst is spent.

use super::{
    Report, Terms,
    limits::{MOST, Numbers},
    proportion::proportion,
};

pub(super) const LUA: &str = include_str!("backlog.lua");

/// What is spent of a quota and has not flown back yet.
///
/// It is counted in ticks, of which a microsecond has as many as the reduced quota has tokens (`rate`), and a token as many as
/// its period has microseconds. So 7 in 60 s flow back exactly, and nothing is ever rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) terms: Terms,
    pub(super) now: u64,
    pub(super) ticks: u64,
    pub(super) repaired: bool,
}

/// The quota that a state was written under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) rate: u64,
    pub(super) full: u64,
}

impl Written {
    pub(super) fn checked(self) -> Option<Self> {
        let sound = self.rate > 0 && (1..=MOST / 2).contains(&self.full);
        sound.then_some(self)
    }

    /// After how many whole microseconds more than a full backlog has flown back.
    pub(super) const fn span_us(self) -> u64 {
        self.full / self.rate
    }
}

impl Backlog {
    pub(super) const fn none(terms: Terms, now: u64) -> Self {
        Self {
            terms,
            now,
            ticks: 0,
            repaired: false,
        }
    }

    /// The backlog of another moment's quota under these terms: the proportion that is spent is kept. That is worth writing for
    /// a refused request only if it flows back no later than before; or requests under two quotas in turn, all of them
    /// refused, would keep it from flowing back.
    pub(super) const fn carried(
        terms: Terms,
        now: u64,
        ticks: u64,
        written: Written,
        repaired: bool,
    ) -> Self {
        let full = terms.full();
        if written.rate == terms.rate && written.full == full {
            return Self {
                terms,
                now,
                ticks,
                repaired,
            };
        }
        let carried = proportion(full, ticks, written.full);
        let sooner = carried.div_ceil(terms.rate) <= ticks.div_ceil(written.rate);
        Self {
            terms,
            now,
            ticks: carried,
            repaired: repaired || sooner,
        }
    }

    pub(super) const fn fits(&self, cost: u64) -> bool {
        let left = self.terms.full() - self.ticks;
        cost.saturating_mul(self.terms.period) <= left
    }

    pub(super) const fn spend(&mut self, cost: u64) {
        self.ticks += cost * self.terms.period;
    }

    pub(super) const fn refund(&mut self, cost: u64) {
        let ticks = cost.saturating_mul(self.terms.period);
        self.ticks = self.ticks.saturating_sub(ticks);
    }

    pub(super) const fn left(&self) -> u64 {
        self.ticks.div_ceil(self.terms.rate)
    }

    pub(super) fn report(&self, numbers: &mut Numbers) {
        numbers.push(self.ticks.cast_signed());
    }
}

/// What the number in a reply says.
pub(super) fn report(
    terms: Terms,
    cost: u64,
    numbers: &mut impl Iterator<Item = i64>,
) -> Option<Report> {
    let (refused, ticks) = super::first(numbers)?;
    let full = terms.full();
    let wait = || {
        let spent = cost.checked_mul(terms.period)?;
        let over = || (ticks + spent).saturating_sub(full);
        (spent <= full).then(|| over().div_ceil(terms.rate))
    };
    Some(Report {
        refused,
        remaining: full.saturating_sub(ticks) / terms.period,
        retry_us: if refused { wait() } else { Some(0) },
        reset_us: ticks.div_ceil(terms.rate),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 7 in 60 s, 3 at once: a token takes 60/7 s.
    const SEVEN_A_MINUTE: Terms = Terms {
        rate: 7,
        period: 60_000_000,
        burst: 3,
    };

    fn read(cost: u64, number: i64) -> Report {
        report(SEVEN_A_MINUTE, cost, &mut [number].into_iter()).expect("a report")
    }

    #[test]
    fn times_are_rounded_up_to_the_microsecond() {
        let wanted = Report {
            refused: true,
            remaining: 0,
            retry_us: Some(8_571_429),
            reset_us: 25_714_286,
        };
        assert_eq!(read(1, -1 - 180_000_000), wanted);
    }

    #[test]
    fn what_is_left_is_rounded_down() {
        assert_eq!(read(1, 1).remaining, 2);
        assert_eq!(read(1, 60_000_000).remaining, 2);
        assert_eq!(read(1, 60_000_001).remaining, 1);
        assert_eq!(read(1, 0).remaining, 3);
    }

    #[test]
    fn over_the_burst_is_never() {
        for cost in [4, 5, u64::MAX] {
            assert_eq!(read(cost, -1).retry_us, None);
        }
        assert_eq!(read(3, -2).retry_us, Some(1));
        assert_eq!(read(3, 180_000_000).retry_us, Some(0));
    }
}
