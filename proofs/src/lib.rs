#![doc = include_str!("../README.md")]

mod action;
mod actors;
mod bounds;
pub mod chaos;
mod model;
mod mutants;
mod properties;
mod record;
mod request;
mod run;
mod scenarios;
mod sightings;
mod state;
mod token;
mod trace;

pub use bounds::Bounds;
pub use mutants::Mutant;
pub use properties::{AT_REST, HOLDS_PROTECT, NO_STALE_READ, NOTICE};
pub use run::{Report, prove, refute};
pub use scenarios::{
    FAILURE, HUNTING_GROUND, MIXED, PUT_IF_NEWER, READ_AND_WRITE, REFRESH, SCENARIOS, Scenario,
    WAIT, WRITE_THROUGH,
};
pub use sightings::{Sight, Sightings};
pub use trace::Trace;
