//! Deadlines that cost an operation next to nothing.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, futures::Notified};

/// Ticks in a deadline.
const TICKS: usize = 16;
/// Ticks until an operation is given up: one is under way when it enters, and the next may follow it at once.
const WAITS: usize = TICKS + 2;
/// Slots of the wheel, more than an operation waits for.
const SLOTS: usize = 32;
const SHORTEST_TICK: Duration = Duration::from_micros(50);

/// One clock for all operations of a store. A timer for each would cost more than the rest of what this crate adds
/// to a command, since nearly all of them are answered long before; here an operation only enters the list of the
/// tick at which it is given up, and leaves it with the reply.
///
/// The clock is a thread, so that deadlines hold on whatever runtime an operation waits, or while that of the
/// connections stands still. It sleeps while nothing is under way. An operation is given up no earlier than its deadline, and
/// an eighth of it later at the most, as far as the thread is woken in time: what a tick is late is made up for by the next
/// one, up to the length of a tick.
#[derive(Debug)]
pub(crate) struct Deadlines {
    deadline: Duration,
    wheel: [Notify; SLOTS],
    now: AtomicUsize,
    under_way: AtomicUsize,
    asleep: AtomicBool,
    closed: AtomicBool,
    thread: OnceLock<Thread>,
}

/// An operation was not over within its deadline.
#[derive(Debug)]
pub(crate) struct Elapsed;

impl Deadlines {
    /// Starts the clock.
    pub(crate) fn start(deadline: Duration) -> io::Result<Arc<Self>> {
        let deadlines = Arc::new(Self {
            deadline,
            wheel: Default::default(),
            now: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            thread: OnceLock::new(),
        });
        let clock = Arc::clone(&deadlines);
        let thread = thread::Builder::new()
            .name("larder-deadlines".to_owned())
            .spawn(move || clock.run())?;
        let _ = deadlines.thread.set(thread.thread().clone());
        Ok(deadlines)
    }

    pub(crate) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Runs an operation until it is over or its time is. After [`close`](Self::close) there is no time left.
    pub(crate) async fn bound<T>(&self, operation: impl Future<Output = T>) -> Result<T, Elapsed> {
        let _under_way = self.enter();
        // Whoever entered before the clock stopped is seen by it, and whoever enters later sees that here.
        if self.closed.load(SeqCst) {
            return Err(Elapsed);
        }
        let mut operation = pin!(operation);
        let mut elapsed = pin!(self.elapsed());
        poll_fn(|cx| match operation.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => elapsed.as_mut().poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    }

    /// Stops the clock once nothing is under way.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.wake();
    }

    /// Over at the first tick that is surely a deadline away.
    fn elapsed(&self) -> Notified<'_> {
        loop {
            let now = self.now.load(SeqCst);
            let elapsed = self.wheel[(now + WAITS) % SLOTS].notified();
            // Otherwise so much time passed between the two that the tick may be over.
            if self.now.load(SeqCst) == now {
                return elapsed;
            }
        }
    }

    fn enter(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, SeqCst);
        if self.asleep.load(SeqCst) {
            self.wake();
        }
        UnderWay(&self.under_way)
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn run(&self) {
        let tick = (self.deadline / TICKS as u32).max(SHORTEST_TICK);
        let mut next = Instant::now() + tick;
        loop {
            let closed = self.closed.load(SeqCst);
            if self.under_way.load(SeqCst) == 0 {
                if closed {
                    return;
                }
                self.sleep();
                next = Instant::now() + tick;
                continue;
            }
            let now = Instant::now();
            if now < next {
                thread::park_timeout(next - now);
            } else {
                self.tick();
                next = after(next, Instant::now(), tick);
            }
        }
    }

    fn tick(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.wheel[now % SLOTS].notify_waiters();
    }

    /// Sleeps until an operation comes. One that came since the last look has not seen that this sleeps, and is seen
    /// here instead.
    fn sleep(&self) {
        self.asleep.store(true, SeqCst);
        if self.under_way.load(SeqCst) == 0 && !self.closed.load(SeqCst) {
            thread::park();
        }
        self.asleep.store(false, SeqCst);
    }
}

/// When to tick after the tick that was due then and is over now. Never twice at once: a stall must not use up deadlines.
fn after(due: Instant, now: Instant, tick: Duration) -> Instant {
    (due + tick).max(now)
}

/// An operation under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use larder_testing::slowest_but_one;

    use super::*;

    /// A tick is 10 ms: threads are hardly ever woken later than that.
    const DEADLINE: Duration = Duration::from_millis(160);

    fn clock() -> Arc<Deadlines> {
        Deadlines::start(DEADLINE).expect("a thread")
    }

    /// Whether the thread is gone: it holds the other handle.
    fn stopped(deadlines: &Arc<Deadlines>) -> bool {
        let since = Instant::now();
        while Arc::strong_count(deadlines) > 1 {
            if since.elapsed() > Duration::from_secs(5) {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    #[tokio::test]
    async fn an_operation_that_never_ends_is_given_up() {
        let deadlines = clock();
        let mut times = Vec::new();
        for _ in 0..3 {
            // Long enough for the clock to fall asleep.
            thread::sleep(DEADLINE / 2);
            let started = Instant::now();
            assert!(deadlines.bound(pending::<()>()).await.is_err());
            let took = started.elapsed();
            assert!(took >= DEADLINE, "{took:?}");
            times.push(took);
        }
        // A thread may be woken late, but not each time.
        assert!(slowest_but_one(&times) < DEADLINE * 5 / 4, "{times:?}");
        assert_eq!(deadlines.bound(ready(1)).await.ok(), Some(1));
    }

    #[test]
    fn lateness_does_not_add_up_and_a_stall_is_two_ticks() {
        let tick = Duration::from_millis(10);
        let due = Instant::now();
        assert_eq!(after(due, due, tick), due + tick);
        assert_eq!(after(due, due + tick / 5, tick), due + tick);
        assert_eq!(after(due, due + tick, tick), due + tick);
        let woken = due + Duration::from_secs(3600);
        assert_eq!(after(due, woken, tick), woken);
    }

    #[tokio::test]
    async fn the_clock_stops_after_what_was_under_way() {
        let deadlines = clock();
        let waiting = tokio::spawn({
            let deadlines = Arc::clone(&deadlines);
            async move { deadlines.bound(pending::<()>()).await.is_err() }
        });
        tokio::task::yield_now().await;
        deadlines.close();
        assert!(waiting.await.expect("a task"));
        assert!(deadlines.bound(pending::<()>()).await.is_err());
        assert!(stopped(&deadlines));
    }

    #[test]
    fn closing_wakes_a_clock_that_sleeps_long() {
        let deadlines = Deadlines::start(Duration::from_secs(3600)).expect("a thread");
        thread::sleep(DEADLINE / 4);
        deadlines.close();
        assert!(stopped(&deadlines));
    }
}
