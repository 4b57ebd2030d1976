//! What a limiter answers.

use std::{sync::Arc, time::Duration};

use crate::{Error, Quota, algorithm::Report};

/// Whether a request is admitted, and how the identity stands after that.
///
/// With several quotas the plain fields tell of the tightest one: of those that refused the one that refuses the longest, or
/// else the one with the least left. [`limits`](Self::limits) tells of each.
#[must_use = "look at `allowed`"]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the request may go on. One that may not has spent nothing.
    pub allowed: bool,
    /// The most that is admitted at once.
    pub limit: u64,
    /// How much would be admitted right now.
    pub remaining: u64,
    /// When to come again with the same cost, if nobody else spends meanwhile; zero if allowed. With leased quota it may be later
    /// than it need be.
    pub retry_after: RetryAfter,
    /// How long until all is forgotten and the whole limit is there again, if nobody spends meanwhile: of the tightest quota, as
    /// `limit` and `remaining`. Another one may take longer.
    pub reset_after: Duration,
    /// The quotas that refused, by their place in the limiter.
    pub violated: Vec<usize>,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// The failure of the store, if that is why somebody else decided.
    pub store_error: Option<Error>,
    quotas: Arc<[Quota]>,
    /// Of each quota, where there are several; a single one is told by the plain fields.
    several: Box<[LimitState]>,
}

/// When to see whether the store is back.
const MAYBE_BACK: Duration = Duration::from_secs(1);

/// When a request that was refused may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryAfter {
    /// After this time, and not a microsecond too early.
    After(Duration),
    /// Never: it costs more than is ever admitted at once.
    Never,
}

impl RetryAfter {
    /// Now.
    pub const ZERO: Self = Self::After(Duration::ZERO);

    pub(crate) const fn later(self, elapsed: Duration) -> Self {
        match self {
            Self::After(wait) => Self::After(wait.saturating_sub(elapsed)),
            Self::Never => Self::Never,
        }
    }

    /// The time, or `None` for never.
    #[must_use]
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::After(duration) => Some(duration),
            Self::Never => None,
        }
    }

    /// The time in whole seconds, rounded up, as the header field `Retry-After` has it, or `None` for never.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder_rate_limit::RetryAfter;
    ///
    /// assert_eq!(RetryAfter::After(Duration::from_micros(1)).as_secs_ceil(), Some(1));
    /// assert_eq!(RetryAfter::ZERO.as_secs_ceil(), Some(0));
    /// assert_eq!(RetryAfter::Never.as_secs_ceil(), None);
    /// ```
    #[must_use]
    pub const fn as_secs_ceil(self) -> Option<u64> {
        match self {
            Self::After(time) if time.subsec_nanos() > 0 => Some(time.as_secs().saturating_add(1)),
            Self::After(time) => Some(time.as_secs()),
            Self::Never => None,
        }
    }
}

/// Who made a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecidedBy {
    /// The store: exact, for all processes.
    Store,
    /// This process, which remembers that the store refused the same, or with leased quota a block, and until when that holds; for a
    /// second at most, since a refund or a reset of another process is not heard of.
    Memory,
    /// This process, out of a block of tokens that it took from the store; see
    /// [`leased`](crate::RateLimiterBuilder::leased). `reset_after` and what others spent are as of that time.
    Lease,
    /// The limiter of this process with its part of the quota, while the store is down.
    Local,
    /// Nobody: the store is down and the limiter fails open. Nothing is known of the identity: `limits` is empty and
    /// `remaining` is the whole limit.
    FailOpen,
    /// Nobody had to: the store is down, and the cost is over what one of the quotas ever admits. Nothing else is known, as
    /// with the one before.
    Capacity,
}

/// How one quota of a limiter stands. The quota itself is in [`Decision::quotas`], at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitState {
    /// Whether this one refused.
    pub violated: bool,
    /// The most that it admits at once.
    pub limit: u64,
    /// How much it would admit right now.
    pub remaining: u64,
    /// When it would admit the same cost; zero if it did not refuse.
    pub retry_after: RetryAfter,
    /// How long until the whole limit is there again.
    pub reset_after: Duration,
}

impl LimitState {
    pub(crate) fn new(quota: &Quota, report: Report) -> Self {
        Self {
            violated: report.refused,
            limit: quota.capacity(),
            remaining: report.remaining,
            retry_after: match report.retry_us {
                Some(us) => RetryAfter::After(Duration::from_micros(us)),
                None => RetryAfter::Never,
            },
            reset_after: Duration::from_micros(report.reset_us),
        }
    }
}

impl Decision {
    /// The quotas that were asked, in order: while the store is down those of the limiter in this process.
    #[must_use]
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// How each quota stands, in their order; none where nothing is known of them.
    #[must_use]
    pub fn limits(&self) -> impl ExactSizeIterator<Item = LimitState> {
        let tightest = self.tightest();
        let known = match self.decided_by {
            DecidedBy::FailOpen | DecidedBy::Capacity => 0,
            DecidedBy::Store | DecidedBy::Memory | DecidedBy::Lease | DecidedBy::Local => {
                self.quotas.len()
            }
        };
        (0..known).map(move |at| self.several.get(at).copied().unwrap_or(tightest))
    }

    const fn tightest(&self) -> LimitState {
        LimitState {
            violated: !self.allowed,
            limit: self.limit,
            remaining: self.remaining,
            retry_after: self.retry_after,
            reset_after: self.reset_after,
        }
    }

    /// What the reports on these quotas say.
    pub(crate) fn of(
        quotas: &Arc<[Quota]>,
        mut report: impl FnMut(usize) -> Option<Report>,
    ) -> Option<Self> {
        if let [quota] = &quotas[..] {
            let state = LimitState::new(quota, report(0)?);
            let violated = if state.violated { vec![0] } else { Vec::new() };
            return Some(Self::led_by(state, violated, quotas, Box::default()));
        }
        let states = quotas.iter().enumerate();
        let states = states.map(|(at, quota)| Some(LimitState::new(quota, report(at)?)));
        let states: Box<[LimitState]> = states.collect::<Option<_>>()?;
        let tightest = *states.iter().max_by(|a, b| tighter(a, b))?;
        let refused = |(at, limit): (usize, &LimitState)| limit.violated.then_some(at);
        let violated = states.iter().enumerate().filter_map(refused).collect();
        Some(Self::led_by(tightest, violated, quotas, states))
    }

    fn led_by(
        tightest: LimitState,
        violated: Vec<usize>,
        quotas: &Arc<[Quota]>,
        several: Box<[LimitState]>,
    ) -> Self {
        Self {
            allowed: violated.is_empty(),
            limit: tightest.limit,
            remaining: tightest.remaining,
            retry_after: tightest.retry_after,
            reset_after: tightest.reset_after,
            violated,
            decided_by: DecidedBy::Store,
            store_error: None,
            quotas: Arc::clone(quotas),
            several,
        }
    }

    /// Allowed for want of anybody who could decide.
    pub(crate) fn open(quotas: Arc<[Quota]>, error: Error) -> Self {
        let limit = quotas.iter().map(Quota::capacity).min().unwrap_or(0);
        Self {
            allowed: true,
            limit,
            remaining: limit,
            retry_after: RetryAfter::ZERO,
            reset_after: Duration::ZERO,
            violated: Vec::new(),
            decided_by: DecidedBy::FailOpen,
            store_error: Some(error),
            quotas,
            several: Box::default(),
        }
    }

    /// How much more would fit right now.
    pub(crate) fn room(&self) -> u64 {
        let remaining = self.several.iter().map(|limit| limit.remaining);
        remaining.min().unwrap_or(self.remaining)
    }

    /// The same decision with each limit, by its place, as it stands at another time.
    pub(crate) fn adjusted(mut self, adjust: impl Fn(usize, &mut LimitState)) -> Self {
        for (at, limit) in self.several.iter_mut().enumerate() {
            adjust(at, limit);
        }
        let tightest = match self.several.iter().max_by(|a, b| tighter(a, b)) {
            Some(tightest) => {
                let several = &self.several;
                self.violated
                    .retain(|at| several.get(*at).is_some_and(|it| it.violated));
                *tightest
            }
            None => {
                let mut single = self.tightest();
                adjust(0, &mut single);
                single
            }
        };
        self.remaining = tightest.remaining;
        self.retry_after = tightest.retry_after;
        self.reset_after = tightest.reset_after;
        Self {
            limit: tightest.limit,
            ..self
        }
    }

    /// Refused for ever, which needs nobody to decide.
    pub(crate) fn never(quotas: Arc<[Quota]>, cost: u64, error: Error) -> Self {
        let refuses = |(at, quota): (usize, &Quota)| (cost > quota.capacity()).then_some(at);
        Self {
            allowed: false,
            retry_after: RetryAfter::Never,
            violated: quotas.iter().enumerate().filter_map(refuses).collect(),
            decided_by: DecidedBy::Capacity,
            ..Self::open(quotas, error)
        }
    }

    /// By the limiter of this process. What is over its part of a quota may be admitted when the store is back.
    pub(crate) fn locally(self, error: Error) -> Self {
        let decision = self.adjusted(|_, limit| {
            if limit.retry_after == RetryAfter::Never {
                limit.retry_after = RetryAfter::After(MAYBE_BACK);
            }
        });
        Self {
            decided_by: DecidedBy::Local,
            store_error: Some(error),
            ..decision
        }
    }
}

/// Orders limits by how tight they are.
fn tighter(a: &LimitState, b: &LimitState) -> std::cmp::Ordering {
    let by_refusal = (a.violated, a.retry_after).cmp(&(b.violated, b.retry_after));
    by_refusal
        .then(b.remaining.cmp(&a.remaining))
        .then(a.reset_after.cmp(&b.reset_after))
}
