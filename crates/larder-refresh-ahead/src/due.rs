//! When an entry is due.

use std::time::Duration;

use larder_cache::Entry;

/// `-ln` of the smallest lot that can be drawn: no early refresh comes before this many load times.
const LONGEST_LOT: f64 = 37.0;

/// When an entry is loaded again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Due {
    /// At this share of its TTL.
    At(f64),
    /// So long before it expires.
    Before(Duration),
    /// By lot, the likelier the nearer the end is and the longer its load took: XFetch of Vattani, Chierichetti and
    /// Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
    Early(f64),
}

impl Due {
    /// Whether a fresh entry is due now.
    pub(crate) fn is_due<V>(self, entry: &Entry<V>) -> bool {
        let (age, left) = (entry.age(), entry.ttl_left());
        match self {
            Self::At(share) => age.as_secs_f64() >= (age + left).as_secs_f64() * share,
            // A margin of all of a short TTL would refresh at every read.
            Self::Before(margin) => left <= margin.min((age + left) / 2),
            Self::Early(beta) => {
                let reach = entry.cost().as_secs_f64() * beta;
                let left = left.as_secs_f64();
                // Most entries are far from due, and need no lot drawn.
                left <= reach * LONGEST_LOT && left <= reach * -(1.0 - fastrand::f64()).ln()
            }
        }
    }
}
