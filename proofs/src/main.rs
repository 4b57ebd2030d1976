//! Checks every model and hunts every mutant, and prints what came of it. With `quick`, within the bounds of
//! the tests.

use std::{
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use larder_proofs::{Bounds, Mutant, Report, SCENARIOS, Scenario, prove, refute};

fn main() -> ExitCode {
    let quick = env::args().any(|arg| arg == "quick");
    println!("{}", heading("model"));
    let proven = SCENARIOS.map(|scenario| check(&scenario, quick));
    println!("\n{}", heading("mutant"));
    let refuted = Mutant::ALL.map(hunt);
    if proven.into_iter().chain(refuted).all(|fine| fine) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether every property holds and the model isn't about nothing.
fn check(scenario: &Scenario, quick: bool) -> bool {
    let bounds = if quick { scenario.quick } else { scenario.full };
    let report = prove(bounds, |unique| progress(scenario.name, unique));
    let missing = report.sightings.missing(scenario.sights);
    let fine = report.broken.is_empty() && missing.is_empty();
    println!(
        "{}",
        row(scenario.name, &report, if fine { "holds" } else { "FAILS" })
    );
    println!("{:35}{}", "", in_words(&bounds));
    for (property, trace) in &report.broken {
        println!("broken: {property}\n{trace}");
    }
    if !missing.is_empty() {
        println!("never seen: {missing:?}");
    }
    fine
}

/// Whether the mutant is found out.
fn hunt(mutant: Mutant) -> bool {
    let report = refute(mutant.ground(), mutant.breaks());
    let found = !report.broken.is_empty();
    let result = if found { "found out" } else { "NOT FOUND" };
    println!("{}", row(mutant.name(), &report, result));
    for (property, trace) in &report.broken {
        println!(
            "    broken: {property}, in {} steps\n{trace}",
            trace.steps()
        );
    }
    found
}

fn heading(what: &str) -> String {
    format!(
        "{what:<34} {:>12} {:>12} {:>6} {:>8}  result",
        "transitions", "states", "depth", "time"
    )
}

fn row(name: &str, report: &Report, result: &str) -> String {
    let Report {
        states,
        unique,
        depth,
        time,
        ..
    } = report;
    let time = seconds(*time);
    format!("{name:<34} {states:>12} {unique:>12} {depth:>6} {time:>8}  {result}")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn in_words(bounds: &Bounds) -> String {
    let Bounds {
        readers,
        writers,
        invalidators,
        evictions,
        lapses,
        unanswered,
        failures,
        ..
    } = bounds;
    format!(
        "{readers} readers, {writers} + {invalidators} writers, {evictions} evictions, {lapses} lapses, \
         {unanswered} unanswered, {failures} failures"
    )
}

/// Shows how far a check has got, where someone is looking.
fn progress(name: &str, unique: usize) {
    let mut out = io::stderr();
    if out.is_terminal() {
        // A terminal that went away is no reason to stop.
        let _ = write!(out, "{name}: {unique} states\r").and_then(|()| out.flush());
    }
}
