//! The numbers for programs.

use anyhow::Result;
use serde::Serialize;

use super::Outcome;

/// One pattern. Fields are only ever added, at the end.
#[derive(Debug, Serialize)]
struct Entry {
    pattern: String,
    requests: u64,
    hits: u64,
    origin_queries: u64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    errors: u64,
    stale_reads: u64,
    elapsed_ms: u64,
    reads: u64,
    writes: u64,
    hit_ratio: f64,
    requests_per_second: f64,
    store_errors: u64,
    deferred_writes: u64,
}

impl From<&Outcome> for Entry {
    fn from(outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        Self {
            pattern: outcome.pattern.to_string(),
            requests: outcome.requests(),
            hits: tally.hits,
            origin_queries: outcome.origin_queries,
            p50_us: tally.quantile_us(0.5),
            p99_us: tally.quantile_us(0.99),
            p999_us: tally.quantile_us(0.999),
            errors: tally.errors,
            stale_reads: tally.stale_reads,
            elapsed_ms: outcome.elapsed.as_secs_f64().mul_add(1e3, 0.5) as u64,
            reads: tally.reads,
            writes: tally.writes,
            hit_ratio: outcome.hit_ratio(),
            requests_per_second: outcome.per_second(),
            store_errors: tally.store_errors,
            deferred_writes: tally.deferred,
        }
    }
}

/// A list with an object for each pattern.
pub(crate) fn json(outcomes: &[Outcome]) -> Result<String> {
    let entries: Vec<Entry> = outcomes.iter().map(Entry::from).collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}
