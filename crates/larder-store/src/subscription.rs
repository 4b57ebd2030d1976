//! Listening for what updates announce.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// Something heard on a [`Subscription`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An update of the key announced this.
    Message(Bytes),
    /// Messages may have been lost here: the connection was rebuilt or the listener was too slow. Look at
    /// the record.
    Gap,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(bytes) => write!(f, "Message({} bytes)", bytes.len()),
            Self::Gap => f.write_str("Gap"),
        }
    }
}

/// The events of one key, from the moment `subscribe` returned. Dropping it unsubscribes.
pub struct Subscription {
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
}

impl Subscription {
    /// For implementers of [`Store`](crate::Store): a subscription that yields these events.
    pub fn new(events: impl Stream<Item = Event> + Send + 'static) -> Self {
        Self {
            events: Box::pin(events),
        }
    }

    /// The next event, or `None` once the store was shut down. Cancel safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.next().await
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
