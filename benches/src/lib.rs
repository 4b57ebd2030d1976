//! What the benchmarks and the lab share.

pub mod textbook;
