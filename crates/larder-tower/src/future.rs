//! The response to come.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    RateLimitBody,
    headers::Fields,
    settings::{Answer, Settings},
};

pin_project! {
    /// The response of a [`RateLimit`](crate::RateLimit).
    ///
    /// # Cancellation
    /// If it is dropped the request may have been counted, once, and the inner service is asked no more.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Asking {
            answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
            waiting: Option<Waiting<S, B>>,
        },
        Calling {
            #[pin]
            call: S::Future,
            fields: Fields,
        },
        Refused {
            response: Option<Response<Bytes>>,
        },
    }
}

/// What waits for the answer.
struct Waiting<S, B> {
    settings: Arc<Settings>,
    inner: S,
    request: Request<B>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn asking(
        settings: Arc<Settings>,
        key: String,
        cost: u64,
        inner: S,
        request: Request<B>,
    ) -> Self {
        let answer = Box::pin(Arc::clone(&settings).answer(key, cost));
        let waiting = Some(Waiting {
            settings,
            inner,
            request,
        });
        Self {
            state: State::Asking { answer, waiting },
        }
    }

    pub(crate) const fn calling(call: S::Future, fields: Fields) -> Self {
        Self {
            state: State::Calling { call, fields },
        }
    }

    pub(crate) const fn refused(response: Response<Bytes>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }
}

impl<S, B> Waiting<S, B>
where
    S: Service<Request<B>>,
{
    /// What is next, now that the answer is known.
    fn go_on(mut self, answer: Answer) -> ResponseFuture<S, B> {
        match answer {
            Answer::Admitted(decision, fields) => {
                self.request.extensions_mut().insert(decision);
                ResponseFuture::calling(self.inner.call(self.request), fields)
            }
            Answer::Refused(refusal, fields) => {
                let (request, _body) = self.request.into_parts();
                ResponseFuture::refused(self.settings.refuse(&refusal, fields, &request))
            }
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<RateLimitBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut state = self.as_mut().project().state;
            let next = match state.as_mut().project() {
                StateProjection::Asking { answer, waiting } => {
                    let answer = ready!(answer.as_mut().poll(context));
                    match waiting.take() {
                        Some(waiting) => waiting.go_on(answer),
                        None => return Poll::Pending,
                    }
                }
                StateProjection::Calling { call, fields } => {
                    let response = ready!(call.poll(context))?;
                    let mut response = response.map(RateLimitBody::inner);
                    std::mem::take(fields).add_to(response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Refused { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(response.map(RateLimitBody::own))),
                        // It was polled again after it was ready.
                        None => Poll::Pending,
                    };
                }
            };
            state.set(next.state);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
