#![doc = include_str!("../README.md")]

mod builder;
mod clock;
mod entry;
mod memory;
mod subscribers;

pub use builder::MemoryStoreBuilder;
pub use memory::MemoryStore;
