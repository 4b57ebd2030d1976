//! Runs steps in order, and says at the end how long each took or how to run the failed one again.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::steps::{STEPS, Step};

/// A step that has ended, and the seconds that it took.
struct Done {
    name: &'static str,
    seconds: f64,
    passed: bool,
}

/// Prints the steps and what each one does.
pub(crate) fn list() {
    for Step { name, about, .. } in STEPS {
        println!("{name:<10} {about}");
    }
}

/// Runs the steps named in `only`, or all if it is empty; stops at the first failure.
pub(crate) fn run(only: &[String]) -> Result<()> {
    let context = Context::load()?;
    let chosen: Vec<_> = STEPS
        .iter()
        .filter(|step| only.is_empty() || only.iter().any(|o| o == step.name))
        .collect();
    let mut done = Vec::new();
    let mut outcome = Ok(());
    for (index, step) in chosen.iter().enumerate() {
        println!(
            "\n== {} ({} of {}): {}",
            step.name,
            index + 1,
            chosen.len(),
            step.about
        );
        let started = Instant::now();
        outcome = (step.run)(&context);
        done.push(Done {
            name: step.name,
            seconds: started.elapsed().as_secs_f64(),
            passed: outcome.is_ok(),
        });
        if outcome.is_err() {
            break;
        }
    }
    println!("\n{}", table(&chosen, &done));
    outcome.with_context(|| failure(done.last()))
}

fn failure(last: Option<&Done>) -> String {
    let name = last.map_or("?", |done| done.name);
    format!("the step `{name}` failed; to run it alone: cargo xtask test --only {name}\n  cause")
}

/// One row a step: its seconds and how it ended, and the total.
fn table(chosen: &[&Step], done: &[Done]) -> String {
    let mut text = format!("{:<10} {:>8}\n", "step", "seconds");
    for done in done {
        let end = if done.passed { "passed" } else { "FAILED" };
        let _ = writeln!(text, "{:<10} {:>8.1}  {end}", done.name, done.seconds);
    }
    for step in &chosen[done.len()..] {
        let _ = writeln!(text, "{:<10} {:>8}  not run", step.name, "-");
    }
    let total: f64 = done.iter().map(|done| done.seconds).sum();
    let _ = write!(text, "{:<10} {total:>8.1}", "total");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_step_that_was_asked_for() {
        let chosen: Vec<_> = STEPS.iter().take(3).collect();
        let done = [
            Done {
                name: chosen[0].name,
                seconds: 0.25,
                passed: true,
            },
            Done {
                name: chosen[1].name,
                seconds: 61.0,
                passed: false,
            },
        ];
        let expected = "step        seconds\n\
                        redis           0.2  passed\n\
                        fmt            61.0  FAILED\n\
                        clippy            -  not run\n\
                        total          61.2";
        assert_eq!(table(&chosen, &done), expected);
    }
}
