//! Each mistake is found out, within bounds in which the protocol holds: a checker that can't find them
//! would prove nothing.

use larder_proofs::{AT_REST, Bounds, HUNTING_GROUND, Mutant, NO_STALE_READ, refute};

/// Finds the shortest trace and prints it. The number of steps tells whether the mistake or the model has
/// changed.
#[track_caller]
fn found_out(mutant: Mutant, steps: usize) {
    let report = refute(mutant.ground(), mutant.breaks());
    let Some((property, trace)) = report.broken.first() else {
        panic!("{}: not found out", mutant.name());
    };
    println!("{}: broken: {property}\n{trace}", mutant.name());
    assert_eq!(trace.steps(), steps, "{}\n{trace}", mutant.name());
}

#[test]
fn no_taint() {
    found_out(Mutant::NoTaint, 5);
}

#[test]
fn one_marker() {
    found_out(Mutant::OneMarker, 6);
}

#[test]
fn begin_overwrites() {
    found_out(Mutant::BeginOverwrites, 5);
}

#[test]
fn act_on_unacknowledged() {
    found_out(Mutant::ActOnUnacknowledged, 7);
}

#[test]
fn resend() {
    found_out(Mutant::Resend, 8);
}

#[test]
fn end_ignores_loss() {
    found_out(Mutant::EndIgnoresLoss, 7);
}

#[test]
fn invalidate_erases() {
    found_out(Mutant::InvalidateErases, 7);
}

#[test]
fn blind_fill() {
    found_out(Mutant::BlindFill, 5);
}

#[test]
fn blind_put() {
    found_out(Mutant::BlindPut, 4);
}

#[test]
fn blind_refresh() {
    found_out(Mutant::BlindRefresh, 7);
}

#[test]
fn put_ignores_version() {
    found_out(Mutant::PutIgnoresVersion, 4);
}

#[test]
fn put_spares_lease() {
    found_out(Mutant::PutSparesLease, 6);
}

#[test]
fn put_fills_vacancy() {
    found_out(Mutant::PutFillsVacancy, 5);
}

#[test]
fn put_erases_holds() {
    found_out(Mutant::PutErasesHolds, 7);
}

/// Writers alone: two with a bracket, one of which dies, and one without.
const WRITERS: Bounds = Bounds {
    readers: 0,
    evictions: 0,
    unanswered: 0,
    ..HUNTING_GROUND
};

/// A hold that a step of the protocol takes from a living writer is made good by its end, and is missed only
/// if that writer dies: then an old value stays.
#[test]
fn holds_that_are_taken_away_are_missed_when_their_writer_dies() {
    for mutant in [Mutant::BeginOverwrites, Mutant::InvalidateErases] {
        let bounds = WRITERS.with(mutant);
        let living = refute(bounds, NO_STALE_READ);
        assert!(living.broken.is_empty(), "{}", mutant.name());
        let dead = refute(bounds, AT_REST);
        assert!(!dead.broken.is_empty(), "{}", mutant.name());
    }
}
