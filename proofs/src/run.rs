//! Running a model.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{bounds::Bounds, model::Protocol, sightings::Sightings, trace::Trace};

/// What the checker found.
#[derive(Debug)]
pub struct Report {
    /// Transitions taken, each to a state that may have been seen before.
    pub states: usize,
    /// Distinct states.
    pub unique: usize,
    /// Steps of the longest path that was followed; with several threads it varies from run to run.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The properties that do not hold, each with a trace.
    pub broken: Vec<(&'static str, Trace)>,
    /// What was seen.
    pub sightings: Arc<Sightings>,
}

/// Checks every property in every state within these bounds, telling `progress` every second how many
/// distinct states there are.
#[must_use]
pub fn prove(bounds: Bounds, progress: impl Fn(usize)) -> Report {
    let model = Protocol::new(bounds, None);
    let sightings = Arc::clone(&model.sightings);
    let start = Instant::now();
    let mut checker = model
        .checker()
        .threads(thread::available_parallelism().map_or(1, usize::from))
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_dfs();
    let workers = checker.handles();
    let mut told = start;
    while !workers.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(10));
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            progress(checker.unique_state_count());
        }
    }
    for worker in workers {
        if let Err(panic) = worker.join() {
            std::panic::resume_unwind(panic);
        }
    }
    report(&checker, sightings, start)
}

/// Looks for the shortest trace that breaks one property: breadth first, and in one thread.
#[must_use]
pub fn refute(bounds: Bounds, property: &'static str) -> Report {
    let model = Protocol::new(bounds, Some(property));
    let sightings = Arc::clone(&model.sightings);
    let start = Instant::now();
    let checker = model
        .checker()
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    report(&checker, sightings, start)
}

fn report(checker: &impl Checker<Protocol>, sightings: Arc<Sightings>, start: Instant) -> Report {
    let broken = checker.discoveries().into_iter();
    Report {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        // The checker counts states, of which a path has one more than steps.
        depth: checker.max_depth().saturating_sub(1),
        time: start.elapsed(),
        broken: broken.map(|(name, path)| (name, Trace::of(path))).collect(),
        sightings,
    }
}
