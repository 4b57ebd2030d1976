//! The protocol holds in every state within the quick bounds. The full bounds are those of
//! `cargo run --release -p larder-proofs`.

use larder_proofs::{
    FAILURE, MIXED, PUT_IF_NEWER, READ_AND_WRITE, REFRESH, Scenario, Sight, WAIT, WRITE_THROUGH,
    prove,
};

#[track_caller]
fn holds(scenario: &Scenario) {
    let report = prove(scenario.quick, |_| ());
    if let Some((property, trace)) = report.broken.first() {
        panic!("{}: broken: {property}\n{trace}", scenario.name);
    }
    let missing = report.sightings.missing(scenario.sights);
    assert_eq!(
        missing,
        Vec::<Sight>::new(),
        "{}: never seen",
        scenario.name
    );
    println!("{}: {} states", scenario.name, report.unique);
}

#[test]
fn reads_and_writes_leave_nothing_stale() {
    holds(&READ_AND_WRITE);
}

#[test]
fn write_through_leaves_nothing_stale() {
    holds(&WRITE_THROUGH);
}

#[test]
fn one_failure_leaves_nothing_stale() {
    holds(&FAILURE);
}

#[test]
fn refreshing_leaves_nothing_stale() {
    holds(&REFRESH);
}

#[test]
fn putting_newer_rows_leaves_nothing_stale() {
    holds(&PUT_IF_NEWER);
}

#[test]
fn whoever_waits_is_told() {
    holds(&WAIT);
}

#[test]
fn everything_together_leaves_nothing_stale() {
    holds(&MIXED);
}
