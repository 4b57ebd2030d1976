//! What goes wrong, and when.

use std::{io, path::Path, time::Duration};

use larder_testing::{Proxy, RedisServer};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::sleep;

use super::{
    HOLD, Plan, ROWS,
    child::{Child, Tally},
    oracle::Oracle,
};

/// A sort of storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Nothing goes wrong.
    None,
    /// Requests and replies are late, lost or cut off; processes stop for a while, and are killed.
    Network,
    /// Processes are killed in the middle of a write. When the hold of that write is over, its version counts as complete.
    Kills,
    /// Records vanish, holds too; the server forgets everything, and is killed and started again, empty.
    Losses,
}

impl Faults {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Network, Self::Kills, Self::Losses];

    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Network => "network",
            Self::Kills => "kills",
            Self::Losses => "losses",
        }
    }

    /// By its word.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|faults| faults.name() == name)
    }

    const fn choices(self) -> &'static [Fault] {
        use Fault::{
            BlackHole, Delay, Empty, Evict, EvictAny, Kill, LostReplies, Reset, Restart, Stop,
        };
        match self {
            Self::None => &[],
            Self::Network => &[
                Delay,
                Delay,
                LostReplies,
                LostReplies,
                BlackHole,
                Reset,
                Stop,
                Kill,
                Evict,
                Evict,
            ],
            Self::Kills => &[Kill, Stop, Evict, Evict],
            Self::Losses => &[
                EvictAny, EvictAny, EvictAny, EvictAny, Empty, Restart, Reset,
            ],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Delay,
    LostReplies,
    BlackHole,
    Reset,
    Stop,
    Kill,
    Evict,
    EvictAny,
    Empty,
    Restart,
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::LostReplies => "lost replies",
            Self::BlackHole => "black hole",
            Self::Reset => "reset",
            Self::Stop => "SIGSTOP",
            Self::Kill => "SIGKILL",
            Self::Evict => "evict leases and values",
            Self::EvictAny => "evict anything",
            Self::Empty => "FLUSHALL",
            Self::Restart => "restart",
        }
    }
}

/// Deletes some records; those of writers only if told so.
const EVICT: &str = "local cursor, seen = '0', 0 \
    repeat local page = redis.call('SCAN', cursor, 'COUNT', 100) cursor = page[1] \
    for _, key in ipairs(page[2]) do \
    if math.random() < 0.3 and (ARGV[1] == 'any' or redis.call('GETRANGE', key, 4, 4) ~= 'H') then \
    redis.call('DEL', key) seen = seen + 1 end end \
    until cursor == '0' return seen";

pub(crate) struct Storm<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) random: StdRng,
    pub(crate) cache: &'a RedisServer,
    pub(crate) proxy: &'a Proxy,
    pub(crate) oracle: &'a Oracle,
    pub(crate) made: Vec<(&'static str, u64)>,
}

impl Storm<'_> {
    /// Some calm, then the next fault.
    pub(crate) async fn next(
        &mut self,
        processes: &mut Vec<Child>,
        program: &Path,
        urls: &[String; 2],
        tally: &Tally,
    ) -> io::Result<()> {
        sleep(Duration::from_millis(self.random.random_range(20..120))).await;
        let Some(fault) = self.plan.faults.choices().choose(&mut self.random).copied() else {
            return Ok(());
        };
        match self.made.iter_mut().find(|(name, _)| *name == fault.name()) {
            Some((_, count)) => *count += 1,
            None => self.made.push((fault.name(), 1)),
        }
        let a_while = Duration::from_millis(self.random.random_range(20..200));
        let victim = self.random.random_range(0..processes.len());
        match fault {
            Fault::Delay => {
                self.proxy.delay(a_while / 2);
                sleep(a_while).await;
                self.proxy.delay(Duration::ZERO);
            }
            Fault::LostReplies => {
                self.proxy.swallow_replies(true);
                sleep(a_while).await;
                self.proxy.swallow_replies(false);
                // What was swallowed is missing in the stream, which can't be used any more.
                self.proxy.reset();
            }
            Fault::BlackHole => {
                self.proxy.black_hole(true);
                sleep(a_while).await;
                self.proxy.black_hole(false);
                self.proxy.reset();
            }
            Fault::Reset => self.proxy.reset(),
            Fault::Stop => {
                let id = processes[victim].id().to_string();
                signal("-STOP", &id).await?;
                sleep(a_while).await;
                signal("-CONT", &id).await?;
            }
            Fault::Kill => {
                processes.swap_remove(victim).kill()?;
                if self.plan.faults == Faults::Kills {
                    self.complete_after_its_hold().await?;
                }
                let number = self.random.random_range(0..1_000_000);
                processes.push(Child::start(program, self.plan, number, urls, tally)?);
            }
            Fault::Evict => self.evict("mild").await,
            Fault::EvictAny => self.evict("any").await,
            Fault::Empty => {
                // A server that is just starting again refuses; there is nothing in it anyway.
                let _ = self.cache.command::<String>(&["FLUSHALL"]).await;
            }
            Fault::Restart => {
                self.cache.kill().await?;
                sleep(a_while).await;
                self.cache.restart().await?;
            }
        }
        Ok(())
    }

    async fn evict(&self, what: &str) {
        let _ = self.cache.command::<i64>(&["EVAL", EVICT, "0", what]).await;
    }

    /// What the killed process has committed is complete when its holds are over, whatever it did not get to do.
    async fn complete_after_its_hold(&self) -> io::Result<()> {
        let mut versions = Vec::new();
        for row in 0..ROWS {
            versions.push(self.oracle.version(row).await.map_err(io::Error::other)?);
        }
        let oracle = self.oracle.clone();
        tokio::spawn(async move {
            // Writes of the others that were open at that moment are over by then, too.
            sleep(HOLD + Duration::from_millis(500)).await;
            for (row, version) in versions.into_iter().enumerate() {
                let _ = oracle.completed(row as u64, version).await;
            }
        });
        Ok(())
    }
}

async fn signal(signal: &str, process: &str) -> io::Result<()> {
    let mut kill = tokio::process::Command::new("kill");
    kill.args([signal, process]).status().await?;
    Ok(())
}
