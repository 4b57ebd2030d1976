//! Lanes and their reconnector.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bb8::{Pool, RunError};
use larder_store::{Error, ErrorKind, Result};
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    deadlines::{Deadlines, Elapsed},
    error,
    lane::{Lane, Live},
    manager::Manager,
    reply,
};

/// Bytes of replies under way on the first lane before the next one is used. Small replies travel best on one
/// connection, many to a packet; large ones gain by a second one.
const BUSY_BYTES: usize = 64 << 10;
/// How slowly the usual size of a reply follows the last ones.
const INERTIA: usize = 16;
/// Deadlines of timeouts without any reply, after the first one, until a connection counts as hung. A stall
/// that fails everything that was in flight is not enough.
const HUNG: u32 = 2;
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// How long all lanes must stand before reconnecting starts without delay again.
const STEADY: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// The connections of a store. An operation takes the first lane that isn't busy; one that is down is passed
/// over, and if all are, the operation fails at once instead of waiting for its deadline.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Box<[Lane]>,
    pool: Pool<Manager>,
    deadlines: Arc<Deadlines>,
    /// The usual size of a reply, in bytes.
    reply_bytes: AtomicUsize,
    down: Notify,
    last_error: Mutex<Option<Error>>,
    closed: AtomicBool,
    pub(crate) reconnects: AtomicU64,
    /// Connections that were taken out of use.
    pub(crate) retired: AtomicU64,
}

impl Lanes {
    pub(crate) fn new(pool: Pool<Manager>, count: usize, deadlines: Arc<Deadlines>) -> Self {
        Self {
            lanes: (0..count).map(|_| Lane::default()).collect(),
            pool,
            deadlines,
            reply_bytes: AtomicUsize::new(0),
            down: Notify::new(),
            last_error: Mutex::default(),
            closed: AtomicBool::new(false),
            reconnects: AtomicU64::new(0),
            retired: AtomicU64::new(0),
        }
    }

    /// Connects the first lane, so that a wrong address or password shows at once.
    pub(crate) async fn connect(&self) -> Result<()> {
        match self.lanes.first() {
            Some(lane) => self.fill(lane).await,
            None => Ok(()),
        }
    }

    /// Keeps the lanes filled, one connection at a time.
    pub(crate) async fn keep_filled(self: Arc<Self>) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let Some(lane) = self.lanes.iter().find(|lane| lane.is_down()) else {
                // A connection that is retired as soon as it is made gains nothing by another one at once.
                if timeout(STEADY, self.down.notified()).await.is_err() {
                    backoff = FIRST_BACKOFF;
                    self.down.notified().await;
                }
                continue;
            };
            if self.fill(lane).await.is_ok() {
                self.reconnects.fetch_add(1, Relaxed);
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn fill(&self, lane: &Lane) -> Result<()> {
        match self.connection().await {
            Ok(_) if self.closed.load(Relaxed) => Err(self.unavailable()),
            Ok(live) => {
                lane.put(live);
                Ok(())
            }
            Err(error) => {
                *self.last_error() = Some(error.clone());
                Err(error)
            }
        }
    }

    /// A new connection, owned by the pool. It is made outside and added, since the pool's own `get` would
    /// keep quiet about the error and wait for its whole timeout.
    async fn connection(&self) -> Result<Live> {
        let connection = self.pool.dedicated_connection().await;
        let connection = connection.map_err(error::connection)?;
        let full = |_| Error::new(ErrorKind::Unavailable, "too many connections are closing");
        self.pool.add(connection).map_err(full)?;
        let taken = self.pool.get_owned().await;
        taken.map(Live::new).map_err(|error| match error {
            RunError::User(error) => error::connection(error),
            RunError::TimedOut => {
                Error::new(ErrorKind::Unavailable, "connecting to Redis took too long")
            }
        })
    }

    /// Sends one command and returns its reply, which may be an error of the server's.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value> {
        let (lane, live) = self.pick()?;
        let _in_flight = lane.enter();
        let mut connection = live.connection();
        let reply = connection.send_packed_command(command);
        let reply = self.deadlines.bound(reply).await;
        let value = self.judge(lane, &live, reply)?;
        self.heed(lane, &live, &value);
        self.weigh(&value);
        Ok(value)
    }

    /// Sends several commands at once and returns their replies.
    pub(crate) async fn pipeline(&self, pipeline: &Pipeline, count: usize) -> Result<Vec<Value>> {
        let (lane, live) = self.pick()?;
        let _in_flight = lane.enter();
        let mut connection = live.connection();
        let replies = connection.send_packed_commands(pipeline, 0, count);
        let replies = self.deadlines.bound(replies).await;
        let values = self.judge(lane, &live, replies)?;
        for value in &values {
            self.heed(lane, &live, value);
        }
        if values.len() != count {
            return Err(Error::new(
                ErrorKind::Protocol,
                "Redis answered another number of commands than were sent",
            ));
        }
        Ok(values)
    }

    /// The first lane that is up and not busy, or else the least busy one.
    fn pick(&self) -> Result<(&Lane, Arc<Live>)> {
        let mut best: Option<(&Lane, Arc<Live>)> = None;
        let reply_bytes = self.reply_bytes.load(Relaxed);
        for lane in &self.lanes {
            let Some(live) = lane.live() else {
                continue;
            };
            let in_flight = lane.in_flight();
            if in_flight.saturating_mul(reply_bytes) < BUSY_BYTES {
                return Ok((lane, live));
            }
            if best
                .as_ref()
                .is_none_or(|(best, _)| in_flight < best.in_flight())
            {
                best = Some((lane, live));
            }
        }
        best.ok_or_else(|| self.unavailable())
    }

    /// What an answer says about the connection it came over.
    fn judge<T>(
        &self,
        lane: &Lane,
        live: &Arc<Live>,
        reply: Result<Result<T, RedisError>, Elapsed>,
    ) -> Result<T> {
        let (error, broken) = match reply {
            Ok(Ok(reply)) => {
                live.answered();
                return Ok(reply);
            }
            // The client library lost the connection, or its place in the stream of replies.
            Ok(Err(error)) => (error::connection(error), true),
            Err(Elapsed) if self.closed.load(Relaxed) => (self.unavailable(), false),
            Err(Elapsed) => {
                let deadline = self.deadlines.deadline();
                (
                    error::timeout(deadline),
                    live.timed_out() >= deadline * HUNG,
                )
            }
        };
        if broken {
            self.retire(lane, live, &error);
        }
        Err(error)
    }

    /// Retires the connection if the server says by it that it is a replica, or wants a login.
    fn heed(&self, lane: &Lane, live: &Arc<Live>, value: &Value) {
        if let Value::ServerError(refusal) = value
            && error::refuses_connection(refusal)
        {
            self.retire(lane, live, &error::server(refusal.clone()));
        }
    }

    /// Takes a reply's size into the usual one. Where all have the same, nothing is written that others read.
    fn weigh(&self, reply: &Value) {
        let usual = self.reply_bytes.load(Relaxed);
        let now = usual
            .saturating_mul(INERTIA - 1)
            .saturating_add(reply::size(reply))
            .div_ceil(INERTIA);
        if now != usual {
            self.reply_bytes.store(now, Relaxed);
        }
    }

    fn retire(&self, lane: &Lane, live: &Arc<Live>, error: &Error) {
        if lane.retire(live) {
            self.retired.fetch_add(1, Relaxed);
            *self.last_error() = Some(error.clone());
            self.down.notify_one();
        }
    }

    /// Closes all connections for good.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.deadlines.close();
        let error = self.unavailable();
        for lane in &self.lanes {
            if let Some(live) = lane.live() {
                self.retire(lane, &live, &error);
            }
        }
    }

    fn unavailable(&self) -> Error {
        if self.closed.load(Relaxed) {
            return Error::new(ErrorKind::Shutdown, "the Redis store was shut down");
        }
        let unavailable = Error::new(
            ErrorKind::Unavailable,
            "Redis can't be reached; reconnecting in the background",
        );
        match self.last_error().clone() {
            Some(error) if error.kind() == ErrorKind::Auth => error,
            Some(error) => unavailable.with_source(error),
            None => unavailable,
        }
    }

    fn last_error(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
