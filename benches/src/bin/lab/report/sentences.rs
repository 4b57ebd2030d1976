//! What the numbers show, in words.

use super::{
    Outcome,
    number::{grouped, percent},
    share,
};
use crate::subject::Pattern;

/// A sentence for each thing worth saying.
pub(super) fn sentences(outcomes: &[Outcome]) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(none) = outcomes.iter().find(|outcome| outcome.pattern == Pattern::None) {
        let others = outcomes.iter().filter(|outcome| outcome.pattern != Pattern::None);
        out.extend(others.map(|outcome| saved(outcome, none)));
    }
    out.extend(stale(outcomes));
    out.extend(outcomes.iter().filter_map(deferred));
    out.extend(outcomes.iter().filter_map(trouble));
    out
}

fn saved(outcome: &Outcome, none: &Outcome) -> String {
    let (asked, instead) = (outcome.origin_queries, none.origin_queries);
    format!(
        "{} asked the database {} times instead of {}: {} fewer.",
        outcome.pattern,
        grouped(asked),
        grouped(instead),
        percent(share(instead.saturating_sub(asked), instead)),
    )
}

fn stale(outcomes: &[Outcome]) -> Vec<String> {
    if outcomes.iter().all(|outcome| outcome.tally.writes == 0) {
        return vec!["Nothing was written, so nothing could be stale; try --writes 5.".to_owned()];
    }
    let (stale, fresh): (Vec<_>, Vec<_>) = outcomes
        .iter()
        .partition(|outcome| outcome.tally.stale_reads > 0);
    let mut out: Vec<_> = stale.into_iter().map(served_stale).collect();
    if !fresh.is_empty() {
        let names: Vec<_> = fresh.iter().map(|outcome| outcome.pattern.to_string()).collect();
        out.push(format!("No stale read was served by {}.", names.join(", ")));
    }
    out
}

fn served_stale(outcome: &Outcome) -> String {
    format!(
        "{} served {} stale reads: pages older than a write that had been acknowledged before the read began.",
        outcome.pattern,
        grouped(outcome.tally.stale_reads)
    )
}

fn deferred(outcome: &Outcome) -> Option<String> {
    (outcome.tally.deferred > 0).then(|| {
        format!(
            "{} put off {} invalidations and said so; reads may be older than those writes and aren't counted as stale.",
            outcome.pattern,
            grouped(outcome.tally.deferred)
        )
    })
}

fn trouble(outcome: &Outcome) -> Option<String> {
    let tally = &outcome.tally;
    let first = tally.first_error.as_deref()?;
    Some(format!(
        "{}: {} requests failed, and {} were answered without the store, which had failed. The first reason: {first}.",
        outcome.pattern,
        grouped(tally.errors),
        grouped(tally.store_errors),
    ))
}
