//! How much is admitted in which time.

use std::{sync::Arc, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

/// So many requests (or bytes, or whatever a request costs) in so much time, and a burst.
///
/// ```
/// use larder_rate_limit::Quota;
///
/// let steady = Quota::per_second(10).burst(20);
/// let daily = Quota::per_day(50_000).named("daily");
/// assert_eq!((steady.capacity(), daily.capacity()), (20, 50_000));
/// ```
///
/// Whether it can work is seen when a limiter is built with it: a limit, period or burst of zero can't.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: u64,
    period: Duration,
    burst: Option<u64>,
    name: Option<Arc<str>>,
}

impl Quota {
    /// This many in each period, of whole microseconds.
    #[must_use]
    pub const fn new(limit: u64, period: Duration) -> Self {
        Self {
            limit,
            period,
            burst: None,
            name: None,
        }
    }

    /// This many a second.
    #[must_use]
    pub const fn per_second(limit: u64) -> Self {
        Self::new(limit, SECOND)
    }

    /// This many a minute.
    #[must_use]
    pub const fn per_minute(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    /// This many an hour.
    #[must_use]
    pub const fn per_hour(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(3_600))
    }

    /// This many a day.
    #[must_use]
    pub const fn per_day(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(86_400))
    }

    /// How many are admitted at once after a time of rest, for GCRA and the token bucket. The default: the limit.
    #[must_use]
    pub const fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// A name, for header fields and logs.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many in each period.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The most that is admitted at once: the burst, or the limit where none was set.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        match self.burst {
            Some(burst) => burst,
            None => self.limit,
        }
    }

    /// Whether a burst was set.
    #[must_use]
    pub const fn has_burst(&self) -> bool {
        self.burst.is_some()
    }

    /// The name, if there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The same quota with other numbers.
    pub(crate) fn with_numbers(&self, change: impl Fn(u64) -> u64) -> Self {
        Self {
            limit: change(self.limit),
            burst: self.burst.map(&change),
            ..self.clone()
        }
    }
}
