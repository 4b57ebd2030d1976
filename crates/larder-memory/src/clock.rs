//! Knowing the time cheaply.
//!
//! Reading the system's clock nearly doubles the cost of a hit, so reads use the coarse clock that the
//! kernel keeps in memory (Linux: `CLOCK_MONOTONIC_COARSE`, good to a scheduler tick, 1 to 10 ms). Tests
//! that pause tokio's clock need that one instead. It can be paused only where somebody in the build turned
//! on tokio's feature `test-util`, which [`CAN_PAUSE`] finds out when compiling.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_store::Timestamp;
use tokio::time::Instant as TokioInstant;

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
            started_coarse: coarsetime::Instant::now(),
        }
    }

    /// The time to the microsecond.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(micros(self.started.elapsed()))
    }

    /// The time for looking at one entry: up to a scheduler tick behind, and exact where time can be paused.
    pub(crate) fn coarse(&self) -> Timestamp {
        if CAN_PAUSE {
            return self.now();
        }
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
