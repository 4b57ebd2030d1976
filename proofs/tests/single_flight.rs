//! `SingleFlight` under shuttle: the very files of `larder-coalesce`, built from shuttle's locks and atomics, so that it decides
//! at each of them who goes on. Every schedule of two callers, and many random ones of more.
//!
//! What is left out: the deadline of a leader, which needs tokio's timer; panics; and orderings weaker than sequential
//! consistency, which shuttle doesn't know.

#[path = "../../crates/larder-coalesce/src/flights/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the pattern over a store uses the rest"
)]
mod flights;
#[path = "../../crates/larder-coalesce/src/single_flight.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is public where it lives")]
mod single_flight;

/// What flights are built from, as `larder-coalesce` has it in its module of this name.
mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use shuttle::sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    };

    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        shuttle::future::spawn(task);
    }

    /// The standard library's, with somebody else's turn before each access.
    pub(crate) struct OnceLock<T>(std::sync::OnceLock<T>);

    impl<T> OnceLock<T> {
        pub(crate) const fn new() -> Self {
            Self(std::sync::OnceLock::new())
        }

        pub(crate) fn get(&self) -> Option<&T> {
            shuttle::thread::yield_now();
            self.0.get()
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            shuttle::thread::yield_now();
            self.0.set(value)
        }
    }
}

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    task::Poll,
};

use shuttle::future::{block_on, spawn, yield_now};
use single_flight::{FlightError, Overload, SingleFlight};
use sync::Arc;

const KEY: u64 = 7;
/// Random schedules of each test.
const SCHEDULES: usize = 20_000;

/// Work that knows how often it was begun. Its counters are no shuttle's: they observe, and are no part of what is tested.
#[derive(Default)]
struct Work {
    begun: AtomicU64,
    alive: AtomicU64,
    /// The last run whose outcome somebody has.
    returned: AtomicU64,
}

impl Work {
    /// Returns the number of this run. One at a time: none goes on after the next one has begun.
    async fn run(self: Arc<Self>) -> u64 {
        let number = self.begun.fetch_add(1, SeqCst) + 1;
        self.alive.fetch_add(1, SeqCst);
        let _alive = Alive(Arc::clone(&self));
        yield_now().await;
        assert_eq!(self.begun.load(SeqCst), number, "two runs at once");
        number
    }
}

struct Alive(Arc<Work>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, SeqCst);
    }
}

/// Asks for the work, and checks that the outcome is none that somebody had before: nothing is kept.
async fn ask(flights: SingleFlight<u64, u64>, work: Arc<Work>) -> Result<u64, FlightError> {
    let over = work.returned.load(SeqCst);
    let run = flights.run(&KEY, || Arc::clone(&work).run()).await?;
    assert!(run > over, "run {run} was over before");
    work.returned.fetch_max(run, SeqCst);
    Ok(run)
}

/// Polls a call once, and drops it.
async fn ask_and_leave(flights: SingleFlight<u64, u64>, work: Arc<Work>) {
    let mut call = pin!(ask(flights, work));
    poll_fn(|context| {
        let _ = call.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Callers at once, of whom some leave. Nothing is left behind, nobody waits for ever, which shuttle would report as a
/// deadlock, and the work is never done twice at once.
fn callers(staying: usize, leaving: usize) {
    let flights = SingleFlight::<u64, u64>::new();
    let work = Arc::new(Work::default());
    let stay: Vec<_> = (0..staying)
        .map(|_| spawn(ask(flights.clone(), Arc::clone(&work))))
        .collect();
    let leave: Vec<_> = (0..leaving)
        .map(|_| spawn(ask_and_leave(flights.clone(), Arc::clone(&work))))
        .collect();
    block_on(async {
        for caller in stay {
            caller.await.expect("a task").expect("an outcome");
        }
        for caller in leave {
            caller.await.expect("a task");
        }
        // What was handed over may still be at it.
        while flights.in_flight() > 0 {
            yield_now().await;
        }
    });
    assert_eq!(work.alive.load(SeqCst), 0, "a run was left behind");
}

#[test]
fn every_schedule_of_two_callers() {
    shuttle::check_dfs(|| callers(2, 0), None);
}

#[test]
fn one_that_stays_and_one_that_leaves() {
    // The first so many of all schedules, then random ones.
    shuttle::check_dfs(|| callers(1, 1), Some(100_000));
    shuttle::check_random(|| callers(1, 1), SCHEDULES);
}

#[test]
fn many_callers_some_of_whom_leave() {
    shuttle::check_random(|| callers(3, 2), SCHEDULES);
    shuttle::check_pct(|| callers(3, 2), SCHEDULES, 3);
}

#[test]
fn callers_over_the_limits() {
    let limited = || {
        let flights = SingleFlight::<u64, u64>::builder()
            .max_followers(1)
            .overload(Overload::Refuse)
            .build();
        let work = Arc::new(Work::default());
        let asking: Vec<_> = (0..4)
            .map(|_| spawn(ask(flights.clone(), Arc::clone(&work))))
            .collect();
        let answered = block_on(async {
            let mut answered = 0;
            for caller in asking {
                match caller.await.expect("a task") {
                    Ok(_) => answered += 1,
                    Err(error) => assert_eq!(error, FlightError::Overloaded),
                }
            }
            answered
        });
        assert!(answered >= 2, "{answered} of four callers were answered");
        assert_eq!(flights.in_flight(), 0);
        assert_eq!(work.alive.load(SeqCst), 0, "a run was left behind");
    };
    shuttle::check_random(limited, SCHEDULES);
}
