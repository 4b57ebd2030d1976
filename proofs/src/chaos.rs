//! A storm: several processes read and write through real caches on a real Redis, while the network fails, processes are
//! stopped and killed, and records vanish. An oracle that knows which writes are complete looks at every read.
//!
//! Every read asks the oracle first which version of the row is complete, and must then see that one or a newer one. A
//! write is complete when the cache has said so, so whatever is open, deferred or failed binds nobody.

mod child;
mod faults;
mod oracle;
mod subject;
mod worker;

pub use faults::Faults;
pub use subject::Subject;
pub use worker::work;

use std::{
    io,
    time::{Duration, Instant},
};

use larder_testing::{Proxy, RedisServer};
use rand::{SeedableRng, rngs::StdRng};

use child::{Child, Tally};
use oracle::Oracle;

/// How long a writer's hold lives.
pub(crate) const HOLD: Duration = Duration::from_millis(1_500);
/// How long entries live: longer than a hold, so that no stale value is gone before it is seen.
pub(crate) const TTL: Duration = Duration::from_secs(4);
/// How many rows there are: few, so that everybody meets.
pub(crate) const ROWS: u64 = 40;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is read and written through.
    pub subject: Subject,
    /// What goes wrong.
    pub faults: Faults,
    /// How many reads and writes there are to be.
    pub operations: u64,
    /// How many processes.
    pub processes: usize,
    /// Of what goes wrong and when.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Reads that were checked.
    pub reads: u64,
    /// Writes that were complete.
    pub writes: u64,
    /// Writes whose cache could not be told in time, or that failed.
    pub incomplete: u64,
    /// Reads that saw an older version than was complete when they started, in words.
    pub stale: Vec<String>,
    /// How many there were.
    pub stale_reads: u64,
    /// How often each fault was made.
    pub faults: Vec<(&'static str, u64)>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Plan {
    /// Runs it. `program` is a program that calls [`work`], and `watch` is told how many operations there were so far.
    ///
    /// # Errors
    /// If the servers or processes can't be started.
    pub async fn run(&self, program: &std::path::Path, watch: impl Fn(u64)) -> io::Result<Outcome> {
        let started = Instant::now();
        let database = RedisServer::start().await?;
        let cache = RedisServer::start().await?;
        let proxy = Proxy::start(cache.port()).await?;
        let oracle = Oracle::connect(&database.url())
            .await
            .map_err(io::Error::other)?;
        let urls = [cache.url_on_port(proxy.port()), database.url()];
        let tally = Tally::default();
        let mut processes = Vec::new();
        for number in 0..self.processes {
            processes.push(Child::start(program, self, number, &urls, &tally)?);
        }
        let mut storm = faults::Storm {
            plan: self,
            random: StdRng::seed_from_u64(self.seed),
            cache: &cache,
            proxy: &proxy,
            oracle: &oracle,
            made: Vec::new(),
        };
        while tally.operations() < self.operations {
            watch(tally.operations());
            storm.next(&mut processes, program, &urls, &tally).await?;
            if started.elapsed() > Duration::from_secs(20 * 60) {
                return Err(io::Error::other("the processes make no progress"));
            }
        }
        let made = std::mem::take(&mut storm.made);
        for process in processes {
            process.finish().await?;
        }
        let mut outcome = tally.take();
        outcome.faults = made;
        outcome.elapsed = started.elapsed();
        Ok(outcome)
    }
}
