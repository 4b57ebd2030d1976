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
    if let Some(none) = outcomes
        .iter()
        .find(|outcome| outcome.pattern == Pattern::None)
    {
        let others = outcomes
            .iter()
            .filter(|outcome| outcome.pattern != Pattern::None);
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
        let names: Vec<_> = fresh
            .iter()
            .map(|outcome| outcome.pattern.to_string())
            .collect();
        out.push(format!("No stale read was served by {}.", names.join(", ")));
    }
    out
}

fn served_stale(outcome: &Outcome) -> String {
    format!(
        "{} served {}: pages older than a write that had been acknowledged before the read began.",
        outcome.pattern,
        count(outcome.tally.stale_reads, "stale read")
    )
}

fn deferred(outcome: &Outcome) -> Option<String> {
    (outcome.tally.deferred > 0).then(|| {
        format!(
            "{} put off {} and said so; until those are done, older pages don't count as stale.",
            outcome.pattern,
            count(outcome.tally.deferred, "invalidation")
        )
    })
}

fn trouble(outcome: &Outcome) -> Option<String> {
    let tally = &outcome.tally;
    let first = tally.first_error.as_deref()?;
    let failed = (tally.errors > 0).then(|| count(tally.errors, "failed request"));
    let alone = count(tally.store_errors, "read");
    let alone =
        (tally.store_errors > 0).then(|| format!("{alone} answered although the store failed"));
    let what: Vec<_> = failed.into_iter().chain(alone).collect();
    Some(format!(
        "{} had {}. The first reason: {first}.",
        outcome.pattern,
        what.join(", and "),
    ))
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Tally;

    fn outcome(pattern: Pattern, origin_queries: u64) -> Outcome {
        Outcome {
            pattern,
            tally: Tally::new().expect("a histogram"),
            origin_queries,
            elapsed: Duration::from_secs(1),
        }
    }

    #[test]
    fn queries_are_compared_to_no_cache() {
        let said = sentences(&[
            outcome(Pattern::None, 200),
            outcome(Pattern::CacheAside, 50),
        ]);
        let expected = "cache-aside asked the database 50 times instead of 200: 75.0 % fewer.";
        assert_eq!(said[0], expected);
        assert!(said[1].starts_with("Nothing was written"), "{said:?}");
    }

    #[test]
    fn stale_reads_are_told_from_none() {
        let mut textbook = outcome(Pattern::Textbook, 1);
        textbook.tally.writes = 1;
        textbook.tally.stale_reads = 1;
        let said = sentences(&[textbook, outcome(Pattern::CacheAside, 1)]);
        assert!(
            said[0].starts_with("textbook served 1 stale read: "),
            "{said:?}"
        );
        assert_eq!(said[1], "No stale read was served by cache-aside.");
    }

    #[test]
    fn failures_are_told_with_their_reason() {
        let mut failing = outcome(Pattern::CacheAside, 1);
        failing.tally.writes = 9;
        failing.tally.store_errors = 2;
        failing.tally.deferred = 3;
        failing.tally.first_error = Some("it is down".to_owned());
        let said = sentences(&[failing]).join("\n");
        assert!(
            said.contains("2 reads answered although the store failed"),
            "{said}"
        );
        assert!(said.contains("The first reason: it is down."), "{said}");
        assert!(said.contains("put off 3 invalidations"), "{said}");
    }
}
