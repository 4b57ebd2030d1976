//! What is counted while a pattern is replayed.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::{oracle::Before, subject::{Changed, Seen}};

/// What one task saw; those of all tasks are added up.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) hits: u64,
    pub(crate) stale_reads: u64,
    /// Requests that failed.
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

    /// Counts a read that took this long, and says nothing of a failed one's freshness.
    pub(crate) fn read(&mut self, read: Result<Seen>, before: Before, took: Duration) {
        self.reads += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros.max(1));
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

    fn failed(&mut self, error: &anyhow::Error) {
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
