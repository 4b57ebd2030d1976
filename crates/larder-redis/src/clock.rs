//! What time it is on the server, without asking.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use larder_store::Timestamp;

/// The server's clock as this process knows it: a monotonic clock plus an offset that every reply with a
/// time in it corrects.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Server microseconds minus monotonic microseconds; `UNKNOWN` before the first reply.
    offset_us: AtomicI64,
}

const UNKNOWN: i64 = i64::MIN;

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            offset_us: AtomicI64::new(UNKNOWN),
        }
    }

    /// Takes in a time the server just told. It was true some part of a round trip ago, which is as exact as
    /// ages need to be.
    pub(crate) fn observe(&self, server_us: i64) {
        self.offset_us
            .store(server_us.saturating_sub(self.monotonic_us()), Relaxed);
    }

    pub(crate) fn now(&self) -> Option<Timestamp> {
        let offset = self.offset_us.load(Relaxed);
        if offset == UNKNOWN {
            return None;
        }
        let now = offset.saturating_add(self.monotonic_us());
        Some(Timestamp::from_micros(now.max(0).unsigned_abs()))
    }

    fn monotonic_us(&self) -> i64 {
        micros(self.started.elapsed())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
