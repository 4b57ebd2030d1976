//! A bar for each pattern, the longest one full.

use super::{Outcome, share};

const WIDTH: f64 = 50.0;

/// One value of each pattern, under a heading.
pub(super) fn bars(
    heading: &str,
    outcomes: &[Outcome],
    value: impl Fn(&Outcome) -> u64,
    shown: impl Fn(u64) -> String,
) -> String {
    let longest = outcomes.iter().map(&value).max().unwrap_or_default();
    let mut out = format!("{heading}\n");
    for outcome in outcomes {
        let value = value(outcome);
        let bar = "█".repeat((share(value, longest) * WIDTH).ceil() as usize);
        out.push_str(&format!("{:>14} {bar} {}\n", outcome.pattern, shown(value)));
    }
    out
}
