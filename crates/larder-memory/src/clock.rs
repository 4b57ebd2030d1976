//! Knowing the time cheaply.
//!
//! Reading the system's clock nearly doubles the cost of a hit, so reads use the coarse clock that the
//! kernel keeps in memory (Linux: `CLOCK_MONOTONIC_COARSE`, a scheduler tick behind, 1 to 10 ms). Tests
//! that pause tokio's clock need that one instead. It can be paused only where somebody in the build turned
//! on tokio's feature `test-util`, which [`CAN_PAUSE`] finds out when compiling.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_store::Timestamp;
use tokio::time::Instant as TokioInstant;

/// The store may have been started so much after the kernel's last look at the clock.
const LONGEST_TICK: coarsetime::Duration = coarsetime::Duration::from_millis(10);

/// The store's clock: it starts at the wall clock's time and never goes backwards.
#[derive(Debug)]
pub(crate) struct Clock {
    epoch_us: u64,
    started: TokioInstant,
    started_coarse: coarsetime::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            epoch_us: micros(epoch),
            started: TokioInstant::now(),
            started_coarse: coarsetime::Instant::now() + LONGEST_TICK,
        }
    }

    /// The time to the microsecond.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(micros(self.started.elapsed()))
    }

    /// The time for looking at one entry: up to 20 ms behind and never ahead, and exact where time can be paused.
    pub(crate) fn coarse(&self) -> Timestamp {
        if CAN_PAUSE {
            return self.now();
        }
        self.kernels()
    }

    fn kernels(&self) -> Timestamp {
        self.at(self.started_coarse.elapsed().as_micros())
    }

    fn at(&self, elapsed_us: u64) -> Timestamp {
        Timestamp::from_micros(self.epoch_us + elapsed_us)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Whether tokio was built with `test-util`, which alone can pause its clock.
///
/// The glob import wins over the item around it if `tokio::time` has a `pause`; ours tells itself apart by
/// its return type.
const CAN_PAUSE: bool = {
    #[allow(unused_imports, reason = "imports `pause` only where there is one")]
    use tokio::time::*;
    size_of_reply(pause) == 0
};

#[allow(dead_code, reason = "used only where tokio has no `pause`")]
fn pause() -> u8 {
    0
}

const fn size_of_reply<R>(_: fn() -> R) -> usize {
    size_of::<R>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or entries would expire for readers while updates go by them.
    #[test]
    fn the_kernels_clock_is_never_ahead() {
        for _ in 0..10 {
            let first = Clock::start();
            let started = first.started_coarse;
            let mut clocks = vec![first];
            // Until the kernel looks at the time again, soon after the last of them was started.
            while clocks.last().is_some_and(|it| it.started_coarse == started) {
                clocks.push(Clock::start());
            }
            for clock in clocks {
                let coarse = clock.kernels();
                assert!(coarse <= clock.now(), "{coarse:?}");
            }
        }
    }
}
