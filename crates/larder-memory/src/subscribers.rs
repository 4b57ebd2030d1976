//! Who listens to which key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use futures_util::stream;
use larder_store::{Event, Key, Subscription};
use tokio::sync::broadcast::{self, error::RecvError};

/// Messages a slow listener may be behind before it is told of a gap.
const BACKLOG: usize = 16;

/// One channel for each key that is listened to; it goes with its last listener.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    channels: Mutex<HashMap<Key, broadcast::Sender<Bytes>>>,
}

impl Subscribers {
    pub(crate) fn subscribe(self: &Arc<Self>, key: &Key) -> Subscription {
        let messages = self
            .lock()
            .entry(key.clone())
            .or_insert_with(|| broadcast::channel(BACKLOG).0)
            .subscribe();
        let listener = Listener {
            messages: Some(messages),
            key: key.clone(),
            all: Arc::downgrade(self),
        };
        Subscription::new(stream::unfold(listener, |mut listener| async {
            let event = listener.next().await?;
            Some((event, listener))
        }))
    }

    pub(crate) fn notify(&self, key: &Key, message: Bytes) {
        if let Some(channel) = self.lock().get(key) {
            // Fails only if the last listener is just leaving.
            let _ = channel.send(message);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, broadcast::Sender<Bytes>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Listener {
    messages: Option<broadcast::Receiver<Bytes>>,
    key: Key,
    all: Weak<Subscribers>,
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        match self.messages.as_mut()?.recv().await {
            Ok(message) => Some(Event::Message(message)),
            Err(RecvError::Lagged(_)) => Some(Event::Gap),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.messages = None;
        let Some(all) = self.all.upgrade() else {
            return;
        };
        let mut channels = all.lock();
        if channels
            .get(&self.key)
            .is_some_and(|channel| channel.receiver_count() == 0)
        {
            channels.remove(&self.key);
        }
    }
}
