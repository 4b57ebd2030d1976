//! The fields from before there was a draft.

use http::{HeaderMap, HeaderName, HeaderValue};
use larder_rate_limit::Decision;

use super::whole_seconds;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// `X-RateLimit-Limit`, `-Remaining` and `-Reset` of the tightest quota.
#[derive(Debug)]
pub(super) struct Legacy {
    limit: u64,
    remaining: u64,
    reset: u64,
}

impl Legacy {
    pub(super) fn new(decision: &Decision) -> Self {
        Self {
            limit: decision.limit,
            remaining: decision.remaining,
            reset: whole_seconds(decision.reset_after),
        }
    }

    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if headers.contains_key(LIMIT) {
            return;
        }
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset));
    }
}
