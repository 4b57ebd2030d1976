//! Why a request does not reach the service.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use larder_rate_limit::{Decision, Error, RetryAfter};

use crate::problem::{Problem, QUOTA_EXCEEDED};

/// Why a request was refused, for a [response](crate::RateLimitLayerBuilder::on_refusal) of one's own.
///
/// gRPC calls get 200 and a status of gRPC's: `RESOURCE_EXHAUSTED` over a quota, with `grpc-retry-pushback-ms`; `INVALID_ARGUMENT` without
/// a key (`UNAUTHENTICATED` for 401, `PERMISSION_DENIED` for 403) or with one that is too long; `UNAVAILABLE`
/// if the limiter failed and may recover, else `INTERNAL`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Refusal {
    /// It is over its quota. `429 Too Many Requests`, with `Retry-After` unless it costs more than is ever admitted.
    Quota(Decision),
    /// It has no key, and this is the status for that.
    MissingKey(StatusCode),
    /// Its key is longer than a store's. `400 Bad Request`.
    KeyTooLong,
    /// The limiter failed, and is to fail closed. The
    /// [status for that](crate::RateLimitLayerBuilder::error_status), with `Retry-After: 1` if it may pass.
    Limiter(Error),
}

impl Refusal {
    pub(crate) const fn status(&self, on_error: StatusCode) -> StatusCode {
        match self {
            Self::Quota(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::MissingKey(status) => *status,
            Self::KeyTooLong => StatusCode::BAD_REQUEST,
            Self::Limiter(_) => on_error,
        }
    }

    /// In seconds; at least 1, or a client would be back at once.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Quota(decision) => Some(decision.retry_after.as_secs_ceil()?.max(1)),
            Self::Limiter(error) if error.is_transient() => Some(1),
            Self::Limiter(_) | Self::MissingKey(_) | Self::KeyTooLong => None,
        }
    }

    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Quota(Decision {
                retry_after: RetryAfter::Never,
                ..
            }) => "The request costs more than is ever admitted at once.".to_owned(),
            Self::Quota(_) => format!(
                "The request may come again in {} s.",
                self.retry_after().unwrap_or(1)
            ),
            Self::MissingKey(_) => "The request does not say for whom it is counted.".to_owned(),
            Self::KeyTooLong => "For whom the request is counted is too long.".to_owned(),
            Self::Limiter(_) => "The rate limiter can't answer.".to_owned(),
        }
    }

    /// The response, with the names of the policies that refused.
    pub(crate) fn response(&self, status: StatusCode, violated: Vec<&str>) -> Response<Bytes> {
        let quota = matches!(self, Self::Quota(_));
        let problem = Problem {
            kind: quota.then_some(QUOTA_EXCEEDED),
            status,
            detail: &self.detail(),
            violated: quota.then_some(violated),
        };
        let mut response = Response::new(problem.json().into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static(Problem::CONTENT_TYPE);
        headers.insert(header::CONTENT_TYPE, content_type);
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
