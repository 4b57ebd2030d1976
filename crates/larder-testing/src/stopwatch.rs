//! A stopwatch that stands still while the machine does.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(1);
/// What counts at most between two ticks.
const MOST: Duration = Duration::from_millis(3);

/// Measures how long something takes on a machine that may stand still meanwhile, so that a test can hold it to a
/// bound in real time and doesn't fail by what else the machine has to do.
///
/// A thread sleeps for a millisecond again and again. Where it was woken 2 ms late and more, everything else was held
/// up as well, and that time isn't counted. What is slow by itself or waits too long is measured in full.
#[derive(Debug)]
pub struct Stopwatch {
    counted: Arc<Mutex<Counted>>,
    stopped: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Counted {
    time: Duration,
    until: Instant,
}

impl Counted {
    fn count(&mut self) -> Duration {
        let now = Instant::now();
        self.time += (now - self.until).min(MOST);
        self.until = now;
        self.time
    }
}

fn count(counted: &Mutex<Counted>) -> Duration {
    let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
    counted.count()
}

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    pub fn start() -> Self {
        let watch = Self {
            counted: Arc::new(Mutex::new(Counted {
                time: Duration::ZERO,
                until: Instant::now(),
            })),
            stopped: Arc::default(),
        };
        let (counted, stopped) = (Arc::clone(&watch.counted), Arc::clone(&watch.stopped));
        thread::spawn(move || {
            while !stopped.load(SeqCst) {
                thread::sleep(TICK);
                count(&counted);
            }
        });
        watch
    }

    /// How long the machine ran since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        count(&self.counted)
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        self.stopped.store(true, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_measures_waiting_and_leaves_out_what_nobody_saw() {
        let started = Instant::now();
        let watch = Stopwatch::start();
        thread::sleep(50 * TICK);
        let measured = watch.elapsed();
        assert!(measured <= started.elapsed(), "{measured:?}");
        assert!(measured >= 25 * TICK, "{measured:?}");

        let now = Instant::now();
        let mut stood_still = Counted {
            time: TICK,
            until: now
                .checked_sub(Duration::from_secs(1))
                .expect("an earlier time"),
        };
        assert_eq!(stood_still.count(), TICK + MOST);
        assert!(stood_still.until >= now);
    }
}
