//! A process and what it tells.

use std::{
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use super::{Outcome, Plan};

/// What all processes have told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    operations: AtomicU64,
    outcome: Mutex<Outcome>,
}

/// How many stale reads are kept in words.
const TOLD: usize = 10;

impl Tally {
    pub(crate) fn operations(&self) -> u64 {
        self.0.operations.load(Relaxed)
    }

    pub(crate) fn take(&self) -> Outcome {
        std::mem::take(
            &mut *self
                .0
                .outcome
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Takes in a line: `did READS WRITES INCOMPLETE`, or `stale` and what was seen.
    fn hear(&self, line: &str) {
        let mut outcome = self
            .0
            .outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = line.strip_prefix("did ") {
            let counts: Vec<u64> = counts.split(' ').filter_map(|it| it.parse().ok()).collect();
            if let [reads, writes, incomplete] = counts[..] {
                outcome.reads += reads;
                outcome.writes += writes;
                outcome.incomplete += incomplete;
                self.0
                    .operations
                    .fetch_add(reads + writes + incomplete, Relaxed);
            }
        } else if let Some(seen) = line.strip_prefix("stale ") {
            outcome.stale_reads += 1;
            if outcome.stale.len() < TOLD {
                outcome.stale.push(seen.to_owned());
            }
        }
    }
}

/// A process that works until its standard input ends.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    listener: thread::JoinHandle<()>,
}

impl Child {
    pub(crate) fn start(
        program: &Path,
        plan: &Plan,
        number: usize,
        urls: &[String; 2],
        tally: &Tally,
    ) -> io::Result<Self> {
        let mut process = Command::new(program)
            .arg("work")
            .arg(plan.subject.name())
            .arg(plan.faults.name())
            .arg(plan.seed.wrapping_add(number as u64).to_string())
            .args(urls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take();
        let tally = tally.clone();
        let listener = thread::spawn(move || {
            let lines = output
                .into_iter()
                .flat_map(|output| BufReader::new(output).lines());
            for line in lines.map_while(Result::ok) {
                tally.hear(&line);
            }
        });
        Ok(Self { process, listener })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        let _ = self.listener.join();
        Ok(())
    }

    /// Ends it, and hears it out.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        drop(self.process.stdin.take());
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.process.wait();
            let _ = self.listener.join();
            status
        });
        let status = ended.await.map_err(io::Error::other)??;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("a process failed: {status}")))
    }
}
