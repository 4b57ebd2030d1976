#![doc = include_str!("../README.md")]

mod cancel;
pub mod conformance;
#[cfg(feature = "cache")]
mod database;
mod fault;
mod proxy;
mod redis_server;
mod times;
pub mod twins;
mod watch;

pub use cancel::drop_at_await;
#[cfg(feature = "cache")]
pub use database::Database;
pub use fault::{Fault, FaultStore, Gate, Operation};
pub use proxy::Proxy;
pub use redis_server::{RedisServer, RedisServerBuilder};
pub use times::slowest_but_one;
pub use watch::Watch;

#[doc(hidden)]
pub use tokio;
