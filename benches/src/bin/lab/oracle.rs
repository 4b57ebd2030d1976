//! Who knows which reads are stale.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// The newest acknowledged version of each key: committed, and the cache told of it.
///
/// A read is stale if it returns an older version than the one that was acknowledged before the read began. A
/// read that overlaps a write may return either version, and a write whose invalidation was put off or failed
/// acknowledges nothing.
#[derive(Debug)]
pub(crate) struct Oracle {
    acknowledged: Vec<AtomicI64>,
}

/// What was acknowledged before a read began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before(i64);

impl Oracle {
    /// All keys at this version.
    pub(crate) fn new(keys: usize, version: i64) -> Self {
        Self {
            acknowledged: (0..keys).map(|_| AtomicI64::new(version)).collect(),
        }
    }

    /// To be called before a read begins.
    pub(crate) fn before(&self, key: u32) -> Before {
        Before(self.slot(key).map_or(i64::MIN, |slot| slot.load(SeqCst)))
    }

    /// To be called after a write returned, unless its invalidation was put off.
    pub(crate) fn acknowledge(&self, key: u32, version: i64) {
        if let Some(slot) = self.slot(key) {
            slot.fetch_max(version, SeqCst);
        }
    }

    fn slot(&self, key: u32) -> Option<&AtomicI64> {
        self.acknowledged.get(key as usize)
    }
}

impl Before {
    /// Whether a read that returned this version is stale.
    pub(crate) fn is_stale(self, version: i64) -> bool {
        version < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_than_acknowledged_is_stale() {
        let oracle = Oracle::new(2, 1);
        oracle.acknowledge(0, 3);
        assert!(oracle.before(0).is_stale(2));
        assert!(!oracle.before(0).is_stale(3));
        assert!(!oracle.before(0).is_stale(4));
        assert!(!oracle.before(1).is_stale(1));
    }

    #[test]
    fn a_read_that_overlaps_the_write_may_return_either() {
        let oracle = Oracle::new(1, 1);
        let before = oracle.before(0);
        oracle.acknowledge(0, 2);
        assert!(!before.is_stale(1));
        assert!(!before.is_stale(2));
    }

    #[test]
    fn late_acknowledgements_take_nothing_back() {
        let oracle = Oracle::new(1, 1);
        oracle.acknowledge(0, 3);
        oracle.acknowledge(0, 2);
        assert!(oracle.before(0).is_stale(2));
    }
}
