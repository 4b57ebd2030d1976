//! What the benchmarks and the lab share.

pub mod case;
pub mod hits;
pub mod misses;
pub mod report;
pub mod rig;
pub mod rounds;
pub mod textbook;
pub mod value;
