//! What is counted while a pattern is replayed.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::{
    oracle::Before,
    subject::{Changed, Seen},
};

/// Longer reads count as this long: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// What one task saw; those of all tasks are added up.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) hits: u64,
    pub(crate) stale_reads: u64,
    /// Requests that failed, and a shutdown that did.
    pub(crate) errors: u64,
    /// Reads that were answered although the store failed.
    pub(crate) store_errors: u64,
    /// Writes that were done, and whose invalidation was put off.
    pub(crate) deferred: u64,
    /// What went wrong first.
    pub(crate) first_error: Option<String>,
    /// Of reads, in microseconds.
    latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            reads: 0,
            writes: 0,
            hits: 0,
            stale_reads: 0,
            errors: 0,
            store_errors: 0,
            deferred: 0,
            first_error: None,
            latency: Histogram::new(3)?,
        })
    }

    /// Counts a read that took this long.
    pub(crate) fn read(
        &mut self,
        read: Result<Seen>,
        before: Before,
        took: Duration,
    ) -> Result<()> {
        self.reads += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US);
        self.latency.record(micros.clamp(1, LONGEST_US))?;
        match read {
            Ok(seen) => {
                self.hits += u64::from(seen.hit);
                self.stale_reads += u64::from(before.is_stale(seen.version));
                if let Some(error) = seen.store_error {
                    self.store_errors += 1;
                    self.note(&error);
                }
            }
            Err(error) => self.failed(&error),
        }
        Ok(())
    }

    /// Counts a write, and returns the version that is acknowledged by it.
    pub(crate) fn write(&mut self, write: Result<Changed>) -> Option<i64> {
        self.writes += 1;
        match write {
            Ok(changed) if changed.deferred => {
                self.deferred += 1;
                None
            }
            Ok(changed) => Some(changed.version),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// Counts something that failed.
    pub(crate) fn failed(&mut self, error: &anyhow::Error) {
        self.errors += 1;
        self.note(error);
    }

    fn note(&mut self, error: &anyhow::Error) {
        self.first_error.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Adds what another task saw.
    pub(crate) fn add(&mut self, other: Self) -> Result<()> {
        self.reads += other.reads;
        self.writes += other.writes;
        self.hits += other.hits;
        self.stale_reads += other.stale_reads;
        self.errors += other.errors;
        self.store_errors += other.store_errors;
        self.deferred += other.deferred;
        self.first_error = self.first_error.take().or(other.first_error);
        Ok(self.latency.add(&other.latency)?)
    }

    /// The time in microseconds within which this share of the reads was answered.
    pub(crate) fn quantile_us(&self, share: f64) -> u64 {
        self.latency.value_at_quantile(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Oracle;

    fn seen(hit: bool) -> Result<Seen> {
        Ok(Seen {
            version: 1,
            hit,
            store_error: None,
        })
    }

    #[test]
    fn latencies_of_all_tasks_are_one_distribution() {
        let before = Oracle::new(1, 1).before(0);
        let mut total = Tally::new().expect("a histogram");
        for millis in [1, 1, 1, 2_000] {
            let mut task = Tally::new().expect("a histogram");
            let took = Duration::from_millis(millis);
            task.read(seen(true), before, took).expect("counted");
            total.add(task).expect("added");
        }
        assert_eq!(total.reads, 4);
        assert_eq!(total.quantile_us(0.5), 1_000);
        assert!((1_999_000..2_002_000).contains(&total.quantile_us(0.999)));
    }

    #[test]
    fn any_time_can_be_counted() {
        let before = Oracle::new(1, 1).before(0);
        let mut tally = Tally::new().expect("a histogram");
        for took in [Duration::ZERO, Duration::MAX] {
            tally.read(seen(false), before, took).expect("counted");
        }
        assert_eq!(tally.quantile_us(0.0), 1);
    }
}
