//! What came of it: a table, bars, sentences and JSON.

mod bars;
mod json;
mod number;
mod sentences;
mod table;

use std::time::Duration;

pub(crate) use self::json::json;
use self::number::{grouped, micros};
use crate::{args::Replay, measure::Tally, subject::Pattern, trace::Trace};

/// What a pattern did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) pattern: Pattern,
    pub(crate) tally: Tally,
    /// How many pages were loaded from the database.
    pub(crate) origin_queries: u64,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    fn requests(&self) -> u64 {
        self.tally.reads + self.tally.writes
    }

    fn hit_ratio(&self) -> f64 {
        share(self.tally.hits, self.tally.reads)
    }

    fn per_second(&self) -> f64 {
        self.requests() as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

/// Zero of zero is zero.
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// What is about to be replayed.
pub(crate) fn title(trace: &Trace, args: &Replay) -> String {
    let source = match &args.input.trace {
        Some(path) => path.display().to_string(),
        None => format!("Zipf {}, seed {}", args.input.zipf, args.input.seed),
    };
    let delay = match args.origin_delay {
        0 => String::new(),
        millis => format!("  ·  origin +{millis} ms"),
    };
    format!(
        "{source}: {} requests over {} keys\nstore: {}  ·  {} tasks  ·  {} writes{delay}\n\n",
        grouped(trace.requests.len() as u64),
        grouped(trace.keys as u64),
        args.store,
        args.tasks,
        args.writes
    )
}

/// The table with the bars and sentences under it.
pub(crate) fn text(outcomes: &[Outcome]) -> String {
    let table = table::table(outcomes);
    let queries = bars::bars(
        "origin queries",
        outcomes,
        |outcome| outcome.origin_queries,
        grouped,
    );
    let p99 = bars::bars(
        "p99 of reads",
        outcomes,
        |outcome| outcome.tally.quantile_us(0.99),
        micros,
    );
    let sentences = sentences::sentences(outcomes).join("\n");
    format!("{table}\n\n{queries}\n{p99}\n{sentences}\n")
}
