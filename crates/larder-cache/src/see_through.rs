//! Requests that are seen through.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

type Request<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A request that goes on in the background if whoever awaits it goes away, so that what it took on the
/// server is given back: `abandoned` gets the reply that nobody waits for any more; or nothing, if the request
/// was lost itself, since there is no runtime to go on in, or too much is going on already.
#[must_use]
pub(crate) struct SeeThrough<T: Send + 'static, A: FnOnce(Option<T>) + Send + 'static> {
    rest: Option<(Request<T>, A)>,
    tasks: TaskTracker,
}

/// How many abandoned requests may be under way; beyond, they are dropped.
const MOST_TASKS: usize = 4096;

impl<T: Send + 'static, A: FnOnce(Option<T>) + Send + 'static> SeeThrough<T, A> {
    pub(crate) fn new(
        tasks: &TaskTracker,
        request: impl Future<Output = T> + Send + 'static,
        abandoned: A,
    ) -> Self {
        Self {
            rest: Some((Box::pin(request), abandoned)),
            tasks: tasks.clone(),
        }
    }
}

impl<T: Send + 'static, A: FnOnce(Option<T>) + Send + Unpin + 'static> Future for SeeThrough<T, A> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some((request, _)) = &mut self.rest else {
            // Polled after completion, which a future may answer by pending for ever.
            return Poll::Pending;
        };
        let reply = ready!(request.as_mut().poll(cx));
        self.rest = None;
        Poll::Ready(reply)
    }
}

impl<T: Send + 'static, A: FnOnce(Option<T>) + Send + 'static> Drop for SeeThrough<T, A> {
    fn drop(&mut self) {
        let Some((request, abandoned)) = self.rest.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) if self.tasks.len() < MOST_TASKS => {
                let mut told = Told(Some(abandoned), std::marker::PhantomData);
                let rest = async move {
                    let reply = request.await;
                    told.tell(Some(reply));
                };
                self.tasks.spawn_on(rest, &runtime);
            }
            _ => abandoned(None),
        }
    }
}

/// Whom to tell; also if the runtime ends before the request.
struct Told<T, A: FnOnce(Option<T>)>(Option<A>, std::marker::PhantomData<fn(T)>);

impl<T, A: FnOnce(Option<T>)> Told<T, A> {
    fn tell(&mut self, reply: Option<T>) {
        if let Some(abandoned) = self.0.take() {
            abandoned(reply);
        }
    }
}

impl<T, A: FnOnce(Option<T>)> Drop for Told<T, A> {
    fn drop(&mut self) {
        self.tell(None);
    }
}
