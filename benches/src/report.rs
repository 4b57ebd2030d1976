//! The comparison table and `bench.json`.

use std::{fs, path::Path};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use crate::{case::Case, rounds::Line};

/// A line of `bench.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    group: String,
    case: String,
    pattern: &'static str,
    store: &'static str,
    tasks: u64,
    bytes: usize,
    median_ns: f64,
    per_second: f64,
    baseline: &'static str,
    ratio: f64,
}

impl Record {
    /// What a case came to.
    #[must_use]
    pub fn new(case: &Case, line: &Line) -> Self {
        Self {
            group: case.group.clone(),
            case: case.name.clone(),
            pattern: case.pattern,
            store: case.store,
            tasks: case.tasks,
            bytes: case.bytes,
            median_ns: line.median_ns,
            per_second: 1e9 / line.median_ns,
            baseline: case.baseline,
            ratio: line.ratio,
        }
    }
}

/// The table of one group.
#[must_use]
pub fn table(cases: &[Case], lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    let group = cases.first().map_or("", |case| &case.group);
    table.set_header([group, "median", "per second", "cost ratio", "middle half"]);
    for line in lines {
        let (low, high) = line.spread;
        table.add_row([
            line.name.clone(),
            nanos(line.median_ns),
            thousands(1e9 / line.median_ns),
            format!("{:.2}x", line.ratio),
            format!("{low:.2}-{high:.2}"),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let baseline = cases.first().map_or("", |case| case.baseline);
    format!(
        "{table}\n  cost ratio: time an operation beside `{baseline}`, round by round; A/A is the noise\n"
    )
}

/// Writes all records.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, records: &[Record]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_string_pretty(records)?)?;
    Ok(())
}

fn nanos(nanos: f64) -> String {
    match nanos {
        small if small < 10_000.0 => format!("{small:.0} ns"),
        large if large < 10_000_000.0 => format!("{:.1} µs", large / 1_000.0),
        huge => format!("{:.1} ms", huge / 1_000_000.0),
    }
}

fn thousands(count: f64) -> String {
    match count {
        few if few < 10_000.0 => format!("{few:.0}"),
        many => format!("{:.0}k", many / 1_000.0),
    }
}
