//! The algorithms: one file each, a pure function with its Lua twin beside it.

mod backlog;
mod fixed_window;
mod gcra;
mod gcra_quick;
mod limits;
mod proportion;
mod sliding_counter;
mod sliding_log;
mod token_bucket;
mod window;

pub(crate) use limits::{FOREIGN, OURS, is_foreign};

use std::time::Duration;

use larder_store::Script;

use crate::{Error, Quota, Result};

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// The generic cell rate algorithm (ITU-T I.371; ATM Forum TM 4.0): a burst, and then evenly spaced. 28 bytes an
    /// identity; never more than `burst + rate × window` in any window.
    #[default]
    Gcra,
    /// Token bucket (as in RFC 2697): decides as GCRA does, and keeps the level of the bucket.
    TokenBucket,
    /// Sliding window counter (Cloudflare, 2017): two counts, the earlier one weighted. No more than the limit in any
    /// aligned window; up to twice the limit in any other, if the traffic is all at the end of one and the end of the next.
    SlidingCounter,
    /// Sliding window log: every hit. Never more than the limit in any window, and 10 bytes a hit; for limits up to
    /// 1,000.
    SlidingLog,
    /// Fixed window: one count, starting anew at each multiple of the period since the Unix epoch. Up to twice the
    /// limit around the end of a window. All identities get their limit back at the same moment, and may come at that moment.
    FixedWindow,
}

/// A quota in whole numbers, as the scripts want it: so many tokens in so many microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Tokens each period: reduced for GCRA and the token bucket, the limit for windows.
    pub(crate) rate: u64,
    /// Microseconds: reduced in the same way.
    pub(crate) period: u64,
    /// The most that is admitted at once.
    pub(crate) burst: u64,
}

/// How an identity stands with one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) refused: bool,
    pub(crate) remaining: u64,
    /// `None` for never.
    pub(crate) retry_us: Option<u64>,
    pub(crate) reset_us: u64,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Gcra,
        Self::TokenBucket,
        Self::SlidingCounter,
        Self::SlidingLog,
        Self::FixedWindow,
    ];

    /// The kind of a limiter's namespace: `larder:{name}:{kind}:{identity}`. Limiters of one name with two algorithms would
    /// take each other's records for damaged.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Gcra => "gcra",
            Self::TokenBucket => "bucket",
            Self::SlidingCounter => "counter",
            Self::SlidingLog => "log",
            Self::FixedWindow => "window",
        }
    }

    pub(crate) const fn script(self) -> &'static Script {
        match self {
            Self::Gcra => &gcra::SCRIPT,
            Self::TokenBucket => &token_bucket::SCRIPT,
            Self::SlidingCounter => &sliding_counter::SCRIPT,
            Self::SlidingLog => &sliding_log::SCRIPT,
            Self::FixedWindow => &fixed_window::SCRIPT,
        }
    }

    /// What the script's numbers say of the next limit.
    pub(crate) fn report(
        self,
        terms: Terms,
        cost: u64,
        numbers: &mut impl Iterator<Item = i64>,
    ) -> Option<Report> {
        match self {
            Self::Gcra | Self::TokenBucket => backlog::report(terms, cost, numbers),
            Self::SlidingCounter => sliding_counter::report(terms, cost, numbers),
            Self::SlidingLog => sliding_log::report(terms, cost, numbers),
            Self::FixedWindow => fixed_window::report(terms, cost, numbers),
        }
    }

    /// How long it takes until so much has flown back, rounded down; `None` in windows, where nothing flows back evenly.
    pub(crate) fn time_of(self, terms: Terms, cost: u64) -> Option<Duration> {
        self.flows_back().then(|| {
            let us = u128::from(cost) * u128::from(terms.period) / u128::from(terms.rate);
            Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
        })
    }

    /// How much flows back in this time, rounded down; `None` in windows.
    pub(crate) fn flow_in(self, terms: Terms, time: Duration) -> Option<u64> {
        self.flows_back().then(|| {
            let tokens =
                time.as_micros().saturating_mul(terms.rate.into()) / u128::from(terms.period);
            u64::try_from(tokens).unwrap_or(u64::MAX)
        })
    }

    /// Whether what is spent comes back bit by bit, and may be lent.
    pub(crate) const fn flows_back(self) -> bool {
        matches!(self, Self::Gcra | Self::TokenBucket)
    }

    /// The terms of a quota.
    pub(crate) fn terms(self, quota: &Quota) -> Result<Terms> {
        let (limit, period, burst) = (quota.limit(), whole_us(quota.period())?, quota.capacity());
        if limit == 0 || period == 0 || burst == 0 {
            return Err(Error::config(
                "a quota's limit, period and burst are at least one",
            ));
        }
        match self {
            Self::Gcra | Self::TokenBucket => Terms::reduced(limit, period, burst),
            _ if quota.has_burst() => Err(Error::config(
                "windows have no burst but their limit: leave it out, or use GCRA or the token bucket",
            )),
            Self::SlidingLog if limit > MOST_LOGGED => Err(Error::config(
                "a sliding window log keeps every hit and takes limits up to 1,000: use another algorithm",
            )),
            _ => Terms::window(limit, period),
        }
    }
}

/// The largest limit of a log.
const MOST_LOGGED: u64 = 1_000;

/// The most ticks of a full burst, and twice that is what Lua counts.
const MOST_TICKS: u64 = limits::MOST / 2;

/// The most tokens of a period in records.
const MOST_RATE: u64 = u32::MAX as u64;

fn whole_us(period: Duration) -> Result<u64> {
    let us = u64::try_from(period.as_micros())
        .map_err(|error| Error::config("a quota's period is too long").with_source(error))?;
    if !period.subsec_nanos().is_multiple_of(1_000) {
        return Err(Error::config("a quota's period is whole microseconds"));
    }
    Ok(us)
}

impl Terms {
    /// The bytes of terms in an argument.
    pub(crate) const LEN: usize = 24;

    /// The quota in its lowest terms or, where its burst has more ticks than can be counted, the next slower rate with fewer.
    fn reduced(limit: u64, period: u64, burst: u64) -> Result<Self> {
        let divisor = gcd(limit, period);
        let exact = Self {
            rate: limit / divisor,
            period: period / divisor,
            burst,
        };
        if exact.is_countable() {
            return Ok(exact);
        }
        Self::slower(limit, period, burst).ok_or_else(|| {
            Error::config(
                "the quota can't be counted, since its burst takes about a century to come back, or its limit is too high: take a smaller burst, a shorter period or a smaller limit",
            )
        })
    }

    /// The longest period that can be counted with this burst, and as many tokens as come in it: fewer than by the quota, by one
    /// in 100,000 at the most.
    fn slower(limit: u64, period: u64, burst: u64) -> Option<Self> {
        let (limit, period) = (u128::from(limit), u128::from(period));
        let longest = u128::from(MOST_TICKS / burst);
        let rate = (longest * limit / period).min(MOST_RATE.into());
        let slower = (rate * period).div_ceil(limit);
        let excess = slower * limit - rate * period;
        let terms = Self {
            rate: u64::try_from(rate).ok()?,
            period: u64::try_from(slower).ok()?,
            burst,
        };
        let close = excess.checked_mul(100_000)? <= rate * period;
        (rate > 0 && close && terms.is_countable()).then_some(terms)
    }

    fn is_countable(&self) -> bool {
        let full = self.burst.checked_mul(self.period);
        self.rate <= MOST_RATE && full.is_some_and(|full| full <= MOST_TICKS)
    }

    fn window(limit: u64, period: u64) -> Result<Self> {
        if limit > window::MOST_LIMIT || period >= window::MOST_TIME {
            return Err(Error::config(
                "a window's limit is at most 2^50, and its period under 142 years",
            ));
        }
        Ok(Self {
            rate: limit,
            period,
            burst: limit,
        })
    }

    /// The ticks of a full burst.
    const fn full(&self) -> u64 {
        self.burst * self.period
    }

    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        for number in [self.rate, self.period, self.burst] {
            out.extend(number.to_be_bytes());
        }
    }

    fn unpack(bytes: &[u8; Self::LEN]) -> Self {
        let (numbers, _) = bytes.as_chunks();
        let number = |at: usize| numbers.get(at).copied().map_or(1, u64::from_be_bytes);
        Self {
            rate: number(0),
            period: number(1),
            burst: number(2),
        }
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The first number of a limit: whether it refused, and the number.
fn first(numbers: &mut impl Iterator<Item = i64>) -> Option<(bool, u64)> {
    let number = numbers.next()?;
    let plain = if number < 0 { -1 - number } else { number };
    Some((number < 0, plain.unsigned_abs()))
}

/// A further number of a limit.
fn next(numbers: &mut impl Iterator<Item = i64>) -> Option<u64> {
    u64::try_from(numbers.next()?).ok()
}
