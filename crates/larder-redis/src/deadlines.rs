//! Deadlines that cost an operation next to nothing.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Poll,
    thread::{self, Thread},
    time::Duration,
};

use tokio::sync::Notify;

/// Ticks in a deadline. An operation is given up between one deadline and one tick more.
const TICKS: usize = 8;
/// Slots of the wheel, more than a deadline needs.
const SLOTS: usize = 16;

/// One clock for all operations of a store. A timer for each would cost more than the rest of what this crate adds
/// to a command, since nearly all of them are answered long before; here an operation only enters the list of the
/// tick at which it is given up, and leaves it with the reply.
///
/// The clock is a thread, so that deadlines hold on whatever runtime an operation waits, or while that of the
/// connections stands still. It sleeps while nothing is under way.
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

    /// Runs an operation until it is over or its time is.
    pub(crate) async fn bound<T>(&self, operation: impl Future<Output = T>) -> Result<T, Elapsed> {
        let _under_way = self.enter();
        let last = self.now.load(Relaxed) + TICKS + 1;
        let mut operation = pin!(operation);
        let mut elapsed = pin!(self.wheel[last % SLOTS].notified());
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
        let tick = self.deadline / TICKS as u32;
        loop {
            if self.under_way.load(SeqCst) > 0 {
                thread::sleep(tick);
                self.tick();
            } else if self.closed.load(SeqCst) {
                return;
            } else {
                self.sleep();
            }
        }
    }

    fn tick(&self) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
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

/// An operation under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
