//! What the benchmarks and the lab share.

pub mod case;
pub mod expiry;
pub mod hits;
pub mod limits;
pub mod misses;
pub mod report;
pub mod rig;
pub mod rounds;
pub mod single_flight;
pub mod stampede;
pub mod textbook;
pub mod textbook_limit;
pub mod textbook_lock;
pub mod textbook_refresh;
pub mod textbook_write;
pub mod value;
pub mod writes;
