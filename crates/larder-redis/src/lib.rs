#![doc = include_str!("../README.md")]

mod builder;
mod clock;
mod command;
mod deadlines;
mod endpoint;
mod error;
mod lane;
mod lanes;
mod manager;
mod redis_store;
mod reply;
mod subscriber;

pub use builder::RedisStoreBuilder;
pub use redis_store::{RedisStats, RedisStore};
