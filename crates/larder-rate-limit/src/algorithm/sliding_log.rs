//! Sliding window log: every hit of the last period with its moment and cost. Exact, and as large as the limit.
//!
//! ```text
//! state   count:4 total:4 period:8 (at_us:8 cost:2)*count         the oldest first; total: the sum of the costs
//! ```
//!
//! A hit counts for one period: hits at the same moment are as many. Refused requests are not logged. Of a changed quota
//! the hits stay what they are. A clock that goes back stays at the newest hit, for a period at the most; hits further ahead become
//! hits of now.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use larder_store::Script;

use super::{
    Report, Terms,
    limits::{self, Numbers, State},
    proportion,
    window::{MOST_LIMIT, MOST_TIME},
};

pub(super) static SCRIPT: Script = Script::new(
    "sliding window log",
    &[
        proportion::LUA,
        include_str!("sliding_log.lua"),
        limits::LUA,
    ],
    limits::apply::<SlidingLog>,
);

/// The bytes before the hits of a state.
const HEAD: usize = 4 + 4 + 8;
/// The bytes of a hit in a record.
const HIT: usize = 8 + 2;

struct SlidingLog {
    terms: Terms,
    now: u64,
    /// Now, or the newest hit if the clock went back.
    moment: u64,
    total: u64,
    /// The hits that count, as in the record.
    hits: Bytes,
    /// One more, the newest.
    new: Option<Hit>,
    repaired: bool,
}

#[derive(Debug, Clone, Copy)]
struct Hit {
    at: u64,
    cost: u64,
}

impl Hit {
    fn read(mut bytes: &[u8]) -> Option<Self> {
        Some(Self {
            at: bytes.try_get_u64().ok()?,
            cost: u64::from(bytes.try_get_u16().ok()?),
        })
    }

    fn write(self, record: &mut BytesMut) {
        record.put_u64(self.at);
        record.put_uint(self.cost, 2);
    }
}

impl SlidingLog {
    fn hits(&self) -> impl Iterator<Item = Hit> {
        self.hits.chunks_exact(HIT).filter_map(Hit::read)
    }

    /// The newest hit of the record.
    fn last(&self) -> Option<Hit> {
        Hit::read(self.hits.rchunks_exact(HIT).next()?)
    }

    /// Forgets hits that are a period old.
    fn prune(&mut self) {
        while let Some(hit) = Hit::read(&self.hits) {
            if hit.at.saturating_add(self.terms.period) > self.moment {
                return;
            }
            self.hits.advance(HIT);
            self.total = self.total.saturating_sub(hit.cost);
        }
        self.total = 0;
    }

    /// Makes hits of a clock that was over a period ahead hits of now.
    fn cut(&mut self) {
        let mut hits = BytesMut::with_capacity(self.hits.len());
        for hit in self.hits() {
            let at = hit.at.min(self.now);
            Hit { at, ..hit }.write(&mut hits);
        }
        self.hits = hits.freeze();
        self.repaired = true;
    }

    /// How long a hit at this moment counts yet.
    fn counts_for(&self, at: u64) -> u64 {
        (at.min(self.moment) + self.terms.period).saturating_sub(self.now)
    }

    /// When so much is forgotten that the cost fits.
    fn wait(&self, cost: u64) -> u64 {
        let needed = (self.total + cost).saturating_sub(self.terms.rate);
        let mut freed = 0;
        for hit in self.hits() {
            freed += hit.cost;
            if freed >= needed {
                return self.counts_for(hit.at);
            }
        }
        self.left()
    }
}

impl State for SlidingLog {
    const TAG: u8 = b'L';

    fn fresh(terms: Terms, now: u64) -> Self {
        Self {
            terms,
            now,
            moment: now,
            total: 0,
            hits: Bytes::new(),
            new: None,
            repaired: false,
        }
    }

    fn read(record: &mut Bytes, terms: Terms, now: u64) -> Option<Self> {
        let count = usize::try_from(record.try_get_u32().ok()?).ok()?;
        let total = u64::from(record.try_get_u32().ok()?);
        let _period = record.try_get_u64().ok()?;
        let len = count.checked_mul(HIT).filter(|len| *len <= record.len())?;
        let mut log = Self {
            total,
            hits: record.split_to(len),
            ..Self::fresh(terms, now)
        };
        let Some(last) = log.last() else {
            return Some(Self::fresh(terms, now));
        };
        if last.at > now + terms.period {
            log.cut();
        } else if last.at + terms.period <= now {
            return Some(Self::fresh(terms, now));
        } else {
            log.moment = now.max(last.at);
        }
        log.prune();
        Some(log)
    }

    /// The limit is in no record, and does not matter.
    fn terms(record: &[u8]) -> Option<Terms> {
        let period = record.get(8..)?.try_get_u64().ok()?;
        (1..MOST_TIME).contains(&period).then_some(Terms {
            rate: MOST_LIMIT,
            period,
            burst: MOST_LIMIT,
        })
    }

    fn repaired(&self) -> bool {
        self.repaired
    }

    fn fits(&self, cost: u64) -> bool {
        self.total.saturating_add(cost) <= self.terms.rate
    }

    fn spend(&mut self, cost: u64) {
        self.total += cost;
        self.new = Some(Hit {
            at: self.moment,
            cost,
        });
    }

    /// The newest hits first.
    fn refund(&mut self, mut cost: u64) {
        while let Some(hit) = self.last().filter(|_| cost > 0) {
            self.hits.truncate(self.hits.len() - HIT);
            self.total = self.total.saturating_sub(hit.cost.min(cost));
            self.new = (hit.cost > cost).then(|| Hit {
                at: hit.at.min(self.moment),
                cost: hit.cost - cost,
            });
            cost = cost.saturating_sub(hit.cost);
        }
    }

    fn len(&self) -> usize {
        let new = if self.new.is_some() { HIT } else { 0 };
        HEAD + self.hits.len() + new
    }

    fn write(&self, record: &mut BytesMut) {
        let count = self.hits.len() / HIT + usize::from(self.new.is_some());
        record.put_uint(count as u64, 4);
        record.put_uint(self.total, 4);
        record.put_u64(self.terms.period);
        record.put_slice(&self.hits);
        if let Some(new) = self.new {
            new.write(record);
        }
    }

    fn left(&self) -> u64 {
        let newest = self.new.or_else(|| self.last());
        newest.map_or(0, |hit| self.counts_for(hit.at))
    }

    fn report(&self, cost: u64, numbers: &mut Numbers) {
        let askable = cost > 0 && cost <= self.terms.rate && self.new.is_none();
        let wait = if askable && !self.fits(cost) {
            self.wait(cost)
        } else {
            0
        };
        numbers.extend([self.total, wait, self.left()].map(u64::cast_signed));
    }
}

/// What the numbers in a reply say: how many are counted, when the cost fits, when the last is forgotten.
pub(super) fn report(
    terms: Terms,
    cost: u64,
    numbers: &mut impl Iterator<Item = i64>,
) -> Option<Report> {
    let (refused, total) = super::first(numbers)?;
    let wait = super::next(numbers)?;
    let wait = (cost <= terms.rate).then_some(wait);
    Some(Report {
        refused,
        remaining: terms.rate.saturating_sub(total),
        retry_us: if refused { wait } else { Some(0) },
        reset_us: super::next(numbers)?,
    })
}
