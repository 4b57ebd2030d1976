//! Whose quota a request spends.

mod forwarded;
mod header;
mod ip;
mod peer;

pub use forwarded::XForwardedFor;
pub use header::HeaderKey;
pub use peer::PeerIp;

use http::{StatusCode, request::Parts};

/// Finds the key of a request: the identity that its limiter counts it for.
///
/// Closures are extractors; they say that their argument is a `&Parts`. What is known of the caller only later in the
/// stack, such as the user, is put into the request's extensions by a layer further out:
///
/// ```
/// use larder_tower::{KeyExtractor, Parts};
///
/// #[derive(Clone)]
/// struct UserId(u64);
///
/// let by_user = |request: &Parts| Some(request.extensions.get::<UserId>()?.0.to_string());
///
/// let mut request = http::Request::new(()).into_parts().0;
/// assert_eq!(by_user.key(&request), None);
/// request.extensions.insert(UserId(7));
/// assert_eq!(by_user.key(&request).as_deref(), Some("7"));
/// ```
#[diagnostic::on_unimplemented(note = "a closure says what its argument is: `|request: &Parts|`")]
pub trait KeyExtractor: Send + Sync + 'static {
    /// The key, or `None` if the request has none; an empty one counts as none. What is done without one says
    /// [`MissingKey`].
    fn key(&self, request: &Parts) -> Option<String>;

    /// The key of this one or, where it has none, of the other. The two share one space of keys: where a client can
    /// choose what one of them finds, make sure that it can't write what the other does.
    #[must_use]
    fn or<O: KeyExtractor>(self, other: O) -> Or<Self, O>
    where
        Self: Sized,
    {
        Or { this: self, other }
    }
}

impl<F> KeyExtractor for F
where
    F: Fn(&Parts) -> Option<String> + Send + Sync + 'static,
{
    fn key(&self, request: &Parts) -> Option<String> {
        self(request)
    }
}

/// Asks a second extractor where the first finds nothing; from [`KeyExtractor::or`].
#[derive(Debug, Clone, Copy)]
pub struct Or<A, B> {
    this: A,
    other: B,
}

impl<A: KeyExtractor, B: KeyExtractor> KeyExtractor for Or<A, B> {
    fn key(&self, request: &Parts) -> Option<String> {
        let key = self.this.key(request).filter(|key| !key.is_empty());
        key.or_else(|| self.other.key(request))
    }
}

/// What is done with a request that has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingKey {
    /// It is refused with this status.
    Refuse(StatusCode),
    /// It spends what all requests without a key have together. No request with a key spends of that.
    Share,
    /// It goes on without a limit. Only for keys that no client can withhold.
    Allow,
}

impl Default for MissingKey {
    /// Refused as 400, so that leaving out a header is no way around the limit, and a server that was set up without
    /// its peers' addresses is noticed.
    fn default() -> Self {
        Self::Refuse(StatusCode::BAD_REQUEST)
    }
}
