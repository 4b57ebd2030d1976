//! Work that outlives its caller.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use smallvec::SmallVec;

use super::Flight;
use crate::sync::Arc;

/// A task for the background.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the work of some flights in its caller's own task, at no further cost. If the caller goes away while somebody
/// follows, the rest of the work goes on in the background; if nobody does, it is dropped.
#[must_use]
pub(crate) struct Handover<F, T, S>
where
    F: Future + Send + 'static,
    S: Fn(Task),
{
    work: Option<Pin<Box<F>>>,
    flights: SmallVec<[Arc<Flight<T>>; 1]>,
    spawn: S,
}

impl<F, T, S> Handover<F, T, S>
where
    F: Future + Send + 'static,
    S: Fn(Task),
{
    /// This work, for these flights. A task that can't be spawned may be dropped.
    pub(crate) fn new(work: F, flights: SmallVec<[Arc<Flight<T>>; 1]>, spawn: S) -> Self {
        Self {
            work: Some(Box::pin(work)),
            flights,
            spawn,
        }
    }
}

impl<F, T, S> Future for Handover<F, T, S>
where
    F: Future + Send + 'static,
    S: Fn(Task) + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else {
            // Polled after completion, which a future may answer by pending for ever.
            return Poll::Pending;
        };
        let output = ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<F, T, S> Drop for Handover<F, T, S>
where
    F: Future + Send + 'static,
    S: Fn(Task),
{
    fn drop(&mut self) {
        let Some(work) = self.work.take() else {
            return;
        };
        // All of them are asked, since those that nobody follows close by it. After a panic none is open, for the
        // leaders in the work were dropped by it.
        let followed = self
            .flights
            .iter()
            .filter(|flight| flight.is_followed_or_close())
            .count();
        if followed > 0 {
            (self.spawn)(Box::pin(async move {
                let _ = work.await;
            }));
        }
    }
}
