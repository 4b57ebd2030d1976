//! When a quota admits more than now.

use std::time::Duration;

use larder_rate_limit::{Algorithm, LimitState, Quota};

/// How long until there is more: of a quota that refused, until there is enough. `None` where that is never, and where
/// nothing was spent.
///
/// GCRA and the token bucket give back one by one, so that of what is missing all but one comes after the next. In
/// windows it is known only for the fixed one; of the others this is the time until all is back.
pub(super) fn until_more(
    algorithm: Algorithm,
    quota: &Quota,
    limit: &LimitState,
) -> Option<Duration> {
    if limit.violated {
        return limit.retry_after.duration();
    }
    let missing = limit.limit.saturating_sub(limit.remaining);
    match (missing, algorithm) {
        (0, _) => None,
        (_, Algorithm::Gcra | Algorithm::TokenBucket) => Some(
            limit
                .reset_after
                .saturating_sub(time_of(quota, missing - 1)),
        ),
        _ => Some(limit.reset_after),
    }
}

/// How long it takes until so much has come back, rounded down to a microsecond.
fn time_of(quota: &Quota, amount: u64) -> Duration {
    let period = quota.period().as_micros();
    let micros = period.saturating_mul(u128::from(amount)) / u128::from(quota.limit().max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
