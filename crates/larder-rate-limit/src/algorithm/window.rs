//! What windows share: where they start, and what may be in a record.
//!
//! A window starts at a multiple of its period since the Unix epoch, by the store's clock.

use bytes::Buf;

use super::Terms;

pub(super) const LUA: &str = include_str!("window.lua");

/// The largest limit of a window: sums of a few of them stay under 2^53.
pub(super) const MOST_LIMIT: u64 = 1 << 50;
/// Times and periods end here, in microseconds; that is in the year 2112.
pub(super) const MOST_TIME: u64 = 1 << 52;

impl Terms {
    /// The terms that a state was written under, whose limit and period are next.
    pub(super) fn of_window(mut record: &[u8]) -> Option<Self> {
        let limit = record.try_get_u64().ok()?;
        Some(Self {
            rate: limit,
            period: record.try_get_u64().ok()?,
            burst: limit,
        })
    }
}

/// The window that a moment is in.
pub(super) const fn start_of(moment: u64, period: u64) -> u64 {
    moment - moment % period
}

/// The window and quota that a state was written under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) start: u64,
    pub(super) limit: u64,
    pub(super) period: u64,
    /// Whether its clock was over a period ahead, so that the window is now's instead.
    pub(super) cut: bool,
}

impl Written {
    /// What is plausible, with the window cut if the clock went back too far: an identity waits for its clock a period and no
    /// longer, of the quota it was written under and of the one of now, whose period is `new_period`.
    pub(super) fn checked(
        start: u64,
        limit: u64,
        period: u64,
        new_period: u64,
        now: u64,
    ) -> Option<Self> {
        let sound = start < MOST_TIME
            && (1..=MOST_LIMIT).contains(&limit)
            && (1..MOST_TIME).contains(&period);
        let cut = start > now.saturating_add(period.min(new_period));
        sound.then(|| Self {
            start: if cut { start_of(now, period) } else { start },
            limit,
            period,
            cut,
        })
    }

    /// How long such a count matters under the quota it was written under, if it does at all.
    pub(super) const fn left(self, count: u64, now: u64) -> u64 {
        if count == 0 {
            0
        } else {
            self.start + self.period - now
        }
    }

    pub(super) const fn is_of(&self, terms: Terms) -> bool {
        self.limit == terms.rate && self.period == terms.period
    }
}
