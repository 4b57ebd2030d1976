//! The service.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    RateLimitBody, ResponseFuture,
    headers::Fields,
    settings::{Question, Settings},
};

/// A service that is asked only for requests within their quotas; from a [`RateLimitLayer`](crate::RateLimitLayer).
///
/// It is ready when the inner service is, and its errors are the inner service's. Handlers find the
/// [`Decision`](crate::Decision) in the request's extensions.
#[derive(Clone)]
pub struct RateLimit<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> RateLimit<S> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, B, R> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<RateLimitBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    /// The clone that was made ready is the one that is called, later.
    fn call(&mut self, request: Request<B>) -> ResponseFuture<S, B> {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (parts, body) = request.into_parts();
        match self.settings.question(&parts) {
            Question::Pass => {
                let call = inner.call(Request::from_parts(parts, body));
                ResponseFuture::calling(call, Fields::default())
            }
            Question::Refuse(refusal) => {
                let response = self.settings.refuse(&refusal, Fields::default(), &parts);
                ResponseFuture::refused(response)
            }
            Question::Ask { key, cost } => {
                let settings = Arc::clone(&self.settings);
                ResponseFuture::asking(settings, key, cost, inner, Request::from_parts(parts, body))
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for RateLimit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limiter", &self.settings.limiter)
            .finish()
    }
}
