//! Alternating rounds: noise that comes and goes meets every case alike.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::case::Case;

/// What one case took, and what that is beside its baseline.
#[derive(Debug, Clone)]
pub struct Line {
    /// The case.
    pub name: String,
    /// The median over the rounds, in nanoseconds an operation.
    pub median_ns: f64,
    /// The median over the rounds of its cost divided by the baseline's in the same round.
    pub ratio: f64,
    /// The middle half of those ratios.
    pub spread: (f64, f64),
}

/// How long and how often each case is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds; each case comes once in each.
    pub rounds: usize,
    /// How long a case's part of a round is about to take.
    pub slice: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 15,
            slice: Duration::from_millis(60),
        }
    }
}

/// Measures the cases of one group in alternating rounds, each case first in some of them.
#[must_use]
pub fn measure(runtime: &Runtime, cases: &[Case], plan: Plan) -> Vec<Line> {
    let operations: Vec<u64> = cases
        .iter()
        .map(|case| operations_in(runtime, case, plan.slice))
        .collect();
    let mut costs = vec![Vec::with_capacity(plan.rounds); cases.len()];
    for round in 0..plan.rounds {
        for place in 0..cases.len() {
            let at = (place + round) % cases.len();
            let measured = runtime.block_on((cases[at].run)(operations[at]));
            costs[at].push(measured.ns_per_operation);
        }
    }
    let line = |(case, own): (&Case, &Vec<f64>)| line(case, own, baseline(case, cases, &costs));
    cases.iter().zip(&costs).map(line).collect()
}

/// How many operations fill a slice. Finding out warms the case up.
fn operations_in(runtime: &Runtime, case: &Case, slice: Duration) -> u64 {
    let mut operations = case.tasks;
    loop {
        let measured = runtime.block_on((case.run)(operations));
        if measured.elapsed >= slice / 4 {
            let each = measured.elapsed.as_secs_f64() / operations as f64;
            return ((slice.as_secs_f64() / each) as u64).max(case.tasks);
        }
        operations *= 4;
    }
}

fn baseline<'a>(case: &Case, cases: &[Case], costs: &'a [Vec<f64>]) -> &'a [f64] {
    let at = cases.iter().position(|other| other.name == case.baseline);
    &costs[at.unwrap_or_default()]
}

fn line(case: &Case, own: &[f64], baseline: &[f64]) -> Line {
    let mut ratios: Vec<f64> = own
        .iter()
        .zip(baseline)
        .map(|(own, base)| own / base)
        .collect();
    let mut costs = own.to_vec();
    ratios.sort_by(f64::total_cmp);
    costs.sort_by(f64::total_cmp);
    Line {
        name: case.name.clone(),
        median_ns: costs[costs.len() / 2],
        ratio: ratios[ratios.len() / 2],
        spread: (ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]),
    }
}
