//! The comparison: a column for each pattern, so that a line is read across.

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use super::{
    Outcome,
    number::{grouped, micros, percent},
};

type Metric = (&'static str, fn(&Outcome) -> String);

const METRICS: [Metric; 12] = [
    ("requests", |outcome| grouped(outcome.requests())),
    ("reads", |outcome| grouped(outcome.tally.reads)),
    ("writes", |outcome| grouped(outcome.tally.writes)),
    ("hit ratio", |outcome| percent(outcome.hit_ratio())),
    ("origin queries", |outcome| grouped(outcome.origin_queries)),
    ("p50", |outcome| micros(outcome.tally.quantile_us(0.5))),
    ("p99", |outcome| micros(outcome.tally.quantile_us(0.99))),
    ("p999", |outcome| micros(outcome.tally.quantile_us(0.999))),
    ("stale reads", |outcome| grouped(outcome.tally.stale_reads)),
    ("errors", |outcome| grouped(outcome.tally.errors)),
    ("elapsed", |outcome| {
        format!("{:.2} s", outcome.elapsed.as_secs_f64())
    }),
    ("requests/s", |outcome| grouped(outcome.per_second() as u64)),
];

pub(super) fn table(outcomes: &[Outcome]) -> Table {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let names = outcomes
        .iter()
        .map(|outcome| right(outcome.pattern.to_string()));
    table.set_header(std::iter::once(Cell::new("")).chain(names));
    for (name, value) in METRICS {
        let values = outcomes.iter().map(|outcome| right(value(outcome)));
        table.add_row(std::iter::once(Cell::new(name)).chain(values));
    }
    table
}
