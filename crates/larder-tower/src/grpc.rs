//! Refusals of gRPC calls: HTTP says 200, and a status of gRPC's own stands in the headers of a response without a body, which the
//! [protocol](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) calls *Trailers-Only*.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use crate::Refusal;

const GRPC: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// When a client that retries may do so, in milliseconds, or below 0 for never
/// ([A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The content type of a gRPC call, of whatever codec. Calls are POST: a client that says so of a GET gets no 200 for it, which a
/// cache might keep.
pub(crate) fn content_type(request: &Parts) -> Option<&HeaderValue> {
    let content_type = request.headers.get(header::CONTENT_TYPE)?;
    let rest = content_type.as_bytes().strip_prefix(GRPC.as_bytes())?;
    let is_call = request.method == Method::POST && matches!(rest, [] | [b'+' | b';', ..]);
    is_call.then_some(content_type)
}

/// The response to a call of this content type.
pub(crate) fn response(refusal: &Refusal, content_type: &HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type.clone());
    headers.insert(STATUS, HeaderValue::from(code(refusal)));
    // Printable ASCII without a percent sign, which need not be encoded.
    if let Ok(message) = HeaderValue::try_from(refusal.detail()) {
        headers.insert(MESSAGE, message);
    }
    if let Refusal::Quota(decision) = refusal {
        let millis = |wait: std::time::Duration| wait.as_nanos().div_ceil(1_000_000);
        let pushback = decision.retry_after.duration().map(millis);
        let pushback = pushback.map_or(-1, |millis| i32::try_from(millis).unwrap_or(i32::MAX));
        headers.insert(PUSHBACK, HeaderValue::from(pushback));
    }
    response
}

fn code(refusal: &Refusal) -> u32 {
    const INVALID_ARGUMENT: u32 = 3;
    const PERMISSION_DENIED: u32 = 7;
    const RESOURCE_EXHAUSTED: u32 = 8;
    const INTERNAL: u32 = 13;
    const UNAVAILABLE: u32 = 14;
    const UNAUTHENTICATED: u32 = 16;
    match refusal {
        Refusal::Quota(_) => RESOURCE_EXHAUSTED,
        Refusal::MissingKey(StatusCode::UNAUTHORIZED) => UNAUTHENTICATED,
        Refusal::MissingKey(StatusCode::FORBIDDEN) => PERMISSION_DENIED,
        Refusal::MissingKey(_) | Refusal::KeyTooLong => INVALID_ARGUMENT,
        Refusal::Limiter(error) if error.is_transient() => UNAVAILABLE,
        Refusal::Limiter(_) => INTERNAL,
    }
}
