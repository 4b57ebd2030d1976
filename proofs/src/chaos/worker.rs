//! What one of the processes does.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use larder_store::BoxError;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::interval;

use super::{Faults, ROWS, Subject, oracle::Oracle, subject::Opened};

/// Tasks of a process.
const TASKS: usize = 12;

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    writes: AtomicU64,
    incomplete: AtomicU64,
    stop: AtomicBool,
}

/// Reads and writes until standard input ends. The arguments: the subject, the faults, a seed, the URL of the cache and
/// that of the database.
///
/// # Errors
/// If the arguments can't be read, or the database is gone.
pub async fn work(arguments: &[String]) -> Result<(), BoxError> {
    let [subject, faults, seed, cache, database] = arguments else {
        return Err("the arguments are SUBJECT FAULTS SEED CACHE DATABASE".into());
    };
    let subject = Subject::of(subject).ok_or("no such subject")?;
    let faults = Faults::of(faults).ok_or("no such faults")?;
    let seed: u64 = seed.parse()?;
    let oracle = Oracle::connect(database).await?;
    let opened = subject.open(cache, &oracle, faults).await?;
    let counts = Arc::new(Counts::default());
    let stop = Arc::clone(&counts);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stop.stop.store(true, Relaxed);
    });
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let task = Task {
                number: task,
                random: StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(task as u64)),
                opened: opened.clone(),
                oracle: oracle.clone(),
                counts: Arc::clone(&counts),
            };
            tokio::spawn(task.run())
        })
        .collect();
    let telling = tokio::spawn(tell(Arc::clone(&counts)));
    for task in tasks {
        task.await??;
    }
    telling.await?;
    Ok(())
}

/// Says from time to time what was done since the last time.
async fn tell(counts: Arc<Counts>) {
    let mut ticks = interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let last = counts.stop.load(Relaxed);
        let [reads, writes, incomplete] =
            [&counts.reads, &counts.writes, &counts.incomplete].map(|count| count.swap(0, Relaxed));
        say(&format!("did {reads} {writes} {incomplete}"));
        if last {
            return;
        }
    }
}

/// Without `println!`, which panics if nobody listens any more.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

struct Task {
    number: usize,
    random: StdRng,
    opened: Opened,
    oracle: Oracle,
    counts: Arc<Counts>,
}

impl Task {
    async fn run(mut self) -> Result<(), BoxError> {
        while !self.counts.stop.load(Relaxed) {
            // Low rows are hot.
            let row = self
                .random
                .random_range(0..ROWS)
                .min(self.random.random_range(0..ROWS));
            match self.random.random_range(0..100) {
                0..12 => self.write(row).await?,
                12..20 => self.read_many(row).await?,
                _ => self.read(row).await?,
            }
        }
        Ok(())
    }

    async fn read(&self, row: u64) -> Result<(), BoxError> {
        let complete = self.oracle.complete(row).await?;
        // A loader's timeout or the textbook's broken connection is no answer, and no stale one.
        if let Ok(version) = self.opened.read(row, self.number).await {
            self.judge(row, complete, version);
        }
        Ok(())
    }

    async fn read_many(&self, row: u64) -> Result<(), BoxError> {
        let rows: Vec<u64> = (row..row + 4).map(|row| row % ROWS).collect();
        let complete = self.oracle.complete_of(&rows).await?;
        if let Ok(versions) = self.opened.read_many(&rows, self.number).await {
            for ((row, complete), version) in rows.into_iter().zip(complete).zip(versions) {
                self.judge(row, complete, version);
            }
        }
        Ok(())
    }

    fn judge(&self, row: u64, complete: u64, version: u64) {
        self.counts.reads.fetch_add(1, Relaxed);
        if version < complete {
            let pattern = ["cache-aside", "coalesce", "refresh-ahead"][self.number % 3];
            say(&format!(
                "stale row {row}: version {version}, {complete} was complete ({pattern})"
            ));
        }
    }

    async fn write(&mut self, row: u64) -> Result<(), BoxError> {
        let way = self.random.random_range(0..6);
        match self.opened.write(row, way, &self.oracle).await {
            Ok(Some(version)) => {
                self.oracle.completed(row, version).await?;
                self.counts.writes.fetch_add(1, Relaxed);
            }
            Ok(None) | Err(_) => {
                self.counts.incomplete.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }
}
