//! The run: so many tasks take the requests in their order and put them to a subject.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinSet;

use crate::{
    measure::Tally,
    oracle::Oracle,
    subject::Subject,
    workload::{Request, Workload},
};

/// How often the bar is drawn. The requests don't touch it, so that it costs them nothing.
const REDRAW: Duration = Duration::from_millis(100);

/// What the tasks of one run share.
pub(crate) struct Run {
    pub(crate) subject: Arc<dyn Subject>,
    pub(crate) workload: Arc<Workload>,
    oracle: Oracle,
    next: AtomicUsize,
}

impl Run {
    /// A run that begins with the first request, all rows being at this version.
    pub(crate) fn new(subject: Arc<dyn Subject>, workload: Arc<Workload>, version: i64) -> Self {
        Self {
            oracle: Oracle::new(workload.keys, version),
            subject,
            workload,
            next: AtomicUsize::new(0),
        }
    }

    /// Puts all requests to the subject, and says what the tasks saw and how long it took.
    pub(crate) async fn replay(self, tasks: usize, name: &str) -> Result<(Tally, Duration)> {
        let run = Arc::new(self);
        let bar = bar(run.workload.requests.len(), name)?;
        let mut redraw = tokio::time::interval(REDRAW);
        let mut total = Tally::new()?;
        let started = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            running.spawn(Arc::clone(&run).requests(Tally::new()?));
        }
        loop {
            tokio::select! {
                ended = running.join_next() => match ended {
                    Some(ended) => total.add(ended.context("a task of the replay panicked")??)?,
                    None => break,
                },
                _ = redraw.tick() => bar.set_position(run.next.load(Relaxed) as u64),
            }
        }
        let elapsed = started.elapsed();
        bar.finish_and_clear();
        Ok((total, elapsed))
    }

    /// One task: takes a request after the other until there are none.
    async fn requests(self: Arc<Self>, mut tally: Tally) -> Result<Tally> {
        while let Some(request) = self.workload.requests.get(self.next.fetch_add(1, Relaxed)) {
            match *request {
                Request::Read(key) => {
                    let before = self.oracle.before(key);
                    let started = Instant::now();
                    let read = self.subject.read(key).await;
                    tally.read(read, before, started.elapsed())?;
                }
                Request::Write(key) => {
                    let written = self.subject.write(key).await;
                    if let Some(version) = tally.write(written) {
                        self.oracle.acknowledge(key, version);
                    }
                }
            }
        }
        Ok(tally)
    }
}

/// Hidden unless somebody looks.
fn bar(requests: usize, name: &str) -> Result<ProgressBar> {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(
        "{prefix:>12} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left",
    )?;
    let bar = ProgressBar::with_draw_target(Some(requests as u64), target);
    Ok(bar.with_style(style).with_prefix(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use anyhow::bail;
    use async_trait::async_trait;

    use super::*;
    use crate::subject::{Changed, Seen};

    /// Reads what was there in the beginning, whatever is written.
    struct Frozen {
        version: AtomicI64,
        deferred: bool,
    }

    #[async_trait]
    impl Subject for Frozen {
        async fn read(&self, key: u32) -> Result<Seen> {
            if key == 9 {
                bail!("nothing here");
            }
            Ok(Seen {
                version: 1,
                hit: true,
                store_error: None,
            })
        }

        async fn write(&self, _key: u32) -> Result<Changed> {
            Ok(Changed {
                version: self.version.fetch_add(1, Relaxed) + 1,
                deferred: self.deferred,
            })
        }

        async fn close(&self) -> Result<()> {
            Ok(())
        }
    }

    async fn replay(requests: &[Request], deferred: bool) -> Tally {
        let version = AtomicI64::new(1);
        let workload = Workload {
            requests: requests.to_vec(),
            keys: 10,
        };
        let subject = Arc::new(Frozen { version, deferred });
        let run = Run::new(subject, Arc::new(workload), 1);
        run.replay(1, "frozen").await.expect("no panic").0
    }

    #[tokio::test]
    async fn a_stale_read_is_counted() {
        use Request::{Read, Write};
        let tally = replay(&[Read(0), Write(0), Read(0), Read(0), Read(1)], false).await;
        assert_eq!((tally.reads, tally.writes, tally.hits), (4, 1, 4));
        assert_eq!(tally.stale_reads, 2);
        assert_eq!(tally.errors, 0);
    }

    #[tokio::test]
    async fn a_deferred_write_promises_nothing() {
        use Request::{Read, Write};
        let tally = replay(&[Write(0), Read(0)], true).await;
        assert_eq!((tally.stale_reads, tally.deferred), (0, 1));
    }

    #[tokio::test]
    async fn failures_are_counted_and_the_first_is_kept() {
        let tally = replay(&[Request::Read(9), Request::Read(9)], false).await;
        assert_eq!((tally.errors, tally.reads), (2, 2));
        assert_eq!(tally.first_error.as_deref(), Some("nothing here"));
    }

    #[tokio::test]
    async fn every_request_is_put_once() {
        let requests: Vec<_> = (0..1_000).map(|_| Request::Read(3)).collect();
        let workload = Workload { requests, keys: 10 };
        let subject = Arc::new(Frozen {
            version: AtomicI64::new(1),
            deferred: false,
        });
        let run = Run::new(subject, Arc::new(workload), 1);
        let (tally, _) = run.replay(50, "frozen").await.expect("no panic");
        assert_eq!(tally.reads, 1_000);
    }
}
