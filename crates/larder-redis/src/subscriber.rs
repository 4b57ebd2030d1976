//! Listening to the server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use larder_store::{Error, ErrorKind, Event, Key, Result, Subscription};
use redis::{
    Client, RedisResult,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, oneshot,
    },
    task::AbortHandle,
    time::{interval, sleep, timeout},
};

use crate::endpoint::Endpoint;

/// Messages a slow listener may be behind before it is told of a gap.
const BACKLOG: usize = 64;
/// Requests to subscribe or unsubscribe that may wait for the connection.
const REQUESTS: usize = 4096;
/// How often an idle connection is asked whether it still stands.
const HEARTBEAT: Duration = Duration::from_secs(2);
const BACKOFF: Duration = Duration::from_millis(100);

/// The one connection that listens, made when the first subscription needs it. It subscribes again by itself after
/// it was lost, and tells every listener of the gap.
#[derive(Debug)]
pub(crate) struct Subscriber {
    endpoint: Endpoint,
    connect_timeout: Duration,
    deadline: Duration,
    task: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unused,
    Running(Task),
    Stopped,
}

#[derive(Debug)]
struct Task {
    requests: mpsc::Sender<Request>,
    channels: Arc<Channels>,
    abort: AbortHandle,
}

/// Who listens to which channel.
#[derive(Debug, Default)]
struct Channels(Mutex<HashMap<Key, broadcast::Sender<Event>>>);

#[derive(Debug)]
enum Request {
    Subscribe(Key, oneshot::Sender<()>),
    Unsubscribe(Key),
}

impl Subscriber {
    pub(crate) fn new(endpoint: &Endpoint, connect_timeout: Duration, deadline: Duration) -> Self {
        Self {
            endpoint: endpoint.clone(),
            connect_timeout,
            deadline,
            task: Mutex::new(State::Unused),
        }
    }

    /// Subscribes and waits until the server has confirmed it.
    pub(crate) async fn subscribe(&self, key: &Key) -> Result<Subscription> {
        let (requests, channels) = self.task()?;
        let listener = Listener {
            events: Some(channels.listen(key)),
            key: key.clone(),
            channels: Arc::downgrade(&channels),
            requests: requests.clone(),
        };
        let (confirm, confirmed) = oneshot::channel();
        let request = async {
            let request = Request::Subscribe(key.clone(), confirm);
            requests.send(request).await.ok()?;
            confirmed.await.ok()
        };
        match timeout(self.connect_timeout + self.deadline, request).await {
            Ok(Some(())) => Ok(listener.into_subscription()),
            Ok(None) if matches!(*self.lock(), State::Stopped) => Err(stopped()),
            Ok(None) => Err(Error::new(
                ErrorKind::Unavailable,
                "the connection was lost before Redis confirmed the subscription",
            )),
            Err(elapsed) => Err(Error::new(
                ErrorKind::Timeout,
                "Redis did not confirm the subscription in time",
            )
            .with_source(elapsed)),
        }
    }

    pub(crate) fn stop(&self) {
        if let State::Running(task) = std::mem::replace(&mut *self.lock(), State::Stopped) {
            task.abort.abort();
        }
    }

    fn task(&self) -> Result<(mpsc::Sender<Request>, Arc<Channels>)> {
        let mut state = self.lock();
        match &*state {
            State::Running(task) if !task.abort.is_finished() => {
                return Ok((task.requests.clone(), Arc::clone(&task.channels)));
            }
            State::Stopped => return Err(stopped()),
            _ => {}
        }
        let client = Client::open(self.endpoint.info()).map_err(|error| {
            Error::new(ErrorKind::Config, "the Redis URL can't be used").with_source(error)
        })?;
        let (requests, queue) = mpsc::channel(REQUESTS);
        let channels = Arc::<Channels>::default();
        let connection = Listening {
            client,
            connect_timeout: self.connect_timeout,
            deadline: self.deadline,
            channels: Arc::clone(&channels),
            queue,
        };
        let abort = tokio::spawn(connection.run()).abort_handle();
        *state = State::Running(Task {
            requests: requests.clone(),
            channels: Arc::clone(&channels),
            abort,
        });
        Ok((requests, channels))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    fn listen(&self, key: &Key) -> broadcast::Receiver<Event> {
        self.lock()
            .entry(key.clone())
            .or_insert_with(|| broadcast::channel(BACKLOG).0)
            .subscribe()
    }

    fn tell(&self, key: &[u8], event: Event) {
        if let Some(channel) = self.lock().get(key) {
            // Fails only if the last listener is just leaving.
            let _ = channel.send(event);
        }
    }

    fn tell_all(&self, event: &Event) {
        for channel in self.lock().values() {
            let _ = channel.send(event.clone());
        }
    }

    /// The channels that somebody listens to; the others are forgotten.
    fn keys(&self) -> Vec<Key> {
        let mut channels = self.lock();
        channels.retain(|_, channel| channel.receiver_count() > 0);
        channels.keys().cloned().collect()
    }

    /// Forgets a channel nobody listens to. Says whether it did.
    fn forget(&self, key: &Key) -> bool {
        let mut channels = self.lock();
        let unused = channels
            .get(key)
            .is_some_and(|channel| channel.receiver_count() == 0);
        if unused {
            channels.remove(key);
        }
        unused
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, broadcast::Sender<Event>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscription's end of a channel.
struct Listener {
    events: Option<broadcast::Receiver<Event>>,
    key: Key,
    channels: Weak<Channels>,
    requests: mpsc::Sender<Request>,
}

impl Listener {
    fn into_subscription(self) -> Subscription {
        Subscription::new(stream::unfold(self, |mut listener| async {
            let event = listener.next().await?;
            Some((event, listener))
        }))
    }

    async fn next(&mut self) -> Option<Event> {
        match self.events.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(_)) => Some(Event::Gap),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.events = None;
        if self.channels.strong_count() > 0 {
            // With a full queue the channel stays until its key is subscribed to and dropped again.
            let _ = self
                .requests
                .try_send(Request::Unsubscribe(self.key.clone()));
        }
    }
}

/// The task behind the connection.
struct Listening {
    client: Client,
    connect_timeout: Duration,
    deadline: Duration,
    channels: Arc<Channels>,
    queue: mpsc::Receiver<Request>,
}

impl Listening {
    async fn run(mut self) {
        let mut first = true;
        loop {
            if let Ok((sink, stream)) = self.connect().await {
                if !std::mem::take(&mut first) {
                    self.channels.tell_all(&Event::Gap);
                }
                if self.listen(sink, stream).await.is_ok() {
                    return;
                }
            }
            sleep(BACKOFF).await;
        }
    }

    /// Connects and subscribes to everything that is listened to.
    async fn connect(&self) -> RedisResult<(PubSubSink, PubSubStream)> {
        let connect = async {
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            let keys = self.channels.keys();
            if !keys.is_empty() {
                let names: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
                sink.subscribe(&names[..]).await?;
            }
            Ok((sink, stream))
        };
        within(self.connect_timeout, connect).await
    }

    /// Serves requests and messages until the connection fails, or nobody can make requests any more.
    async fn listen(&mut self, mut sink: PubSubSink, mut stream: PubSubStream) -> RedisResult<()> {
        let mut heartbeat = interval(HEARTBEAT);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.deliver(&message),
                    None => return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()),
                },
                request = self.queue.recv() => match request {
                    Some(request) => self.serve(&mut sink, request).await?,
                    None => return Ok(()),
                },
                _ = heartbeat.tick() => {
                    within(self.deadline, sink.ping::<redis::Value>()).await?;
                }
            }
        }
    }

    fn deliver(&self, message: &redis::Msg) {
        let payload = Bytes::copy_from_slice(message.get_payload_bytes());
        // Keys need not be text.
        if let Ok(channel) = message.get_channel::<Vec<u8>>() {
            self.channels.tell(&channel, Event::Message(payload));
        }
    }

    async fn serve(&self, sink: &mut PubSubSink, request: Request) -> RedisResult<()> {
        match request {
            Request::Subscribe(key, confirm) => {
                within(self.deadline, sink.subscribe(key.as_bytes())).await?;
                // The caller may have given up meanwhile.
                let _ = confirm.send(());
                Ok(())
            }
            Request::Unsubscribe(key) if self.channels.forget(&key) => {
                within(self.deadline, sink.unsubscribe(key.as_bytes())).await
            }
            Request::Unsubscribe(_) => Ok(()),
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Shutdown, "the Redis store was shut down")
}

async fn within<T>(limit: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}
