//! Redis' errors as the store's.

use std::time::Duration;

use larder_store::{Error, ErrorKind};
use redis::{RedisError, ServerError, ServerErrorKind};

use crate::endpoint::Endpoint;

/// What the client library reports: the connection failed, or the server refused it.
pub(crate) fn connection(error: RedisError) -> Error {
    let (kind, message) = match error.kind() {
        _ if error.is_timeout() => (ErrorKind::Timeout, "connecting to Redis took too long"),
        redis::ErrorKind::AuthenticationFailed => (
            ErrorKind::Auth,
            "Redis refused the credentials: check user and password in the URL",
        ),
        redis::ErrorKind::Server(kind) => {
            return server_kind(kind, error.code()).with_source(error);
        }
        redis::ErrorKind::Extension => {
            return by_code(error.code().unwrap_or_default()).with_source(error);
        }
        redis::ErrorKind::RESP3NotSupported => (
            ErrorKind::Config,
            "the server doesn't speak RESP3: Redis 6.0 or newer is needed",
        ),
        redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => {
            (ErrorKind::Protocol, "Redis' reply can't be read")
        }
        _ => (ErrorKind::Unavailable, "Redis can't be reached"),
    };
    Error::new(kind, message).with_source(error)
}

/// The first connection could not be made.
pub(crate) fn no_connection(endpoint: &Endpoint, error: Error) -> Error {
    let hint = match error.is_transient() {
        true => "; connect_in_background() starts without one",
        false => "",
    };
    Error::new(error.kind(), format!("no connection to {endpoint}{hint}")).with_source(error)
}

/// An operation was not answered in time.
pub(crate) fn timeout(deadline: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("Redis did not answer within {deadline:?}"),
    )
}

/// An error that the server answered a command with.
pub(crate) fn server(error: ServerError) -> Error {
    let known = match error.kind() {
        Some(kind) => server_kind(kind, Some(error.code())),
        None => by_code(error.code()),
    };
    let detail = error.details().unwrap_or_default();
    // Before Redis 7 a script's errors come wrapped.
    let wrapped = ["WRONGTYPE", "OOM", "READONLY"]
        .into_iter()
        .find(|code| detail.contains(code));
    let mapped = match (known.kind(), wrapped) {
        (ErrorKind::Server, Some(code)) => by_code(code),
        _ => known,
    };
    // "unknown command" quotes the arguments.
    if detail.contains("args beginning with") {
        return mapped;
    }
    mapped.with_source(RedisError::from(error))
}

pub(crate) fn is_no_script(error: &ServerError) -> bool {
    error.kind() == Some(ServerErrorKind::NoScript)
}

fn server_kind(kind: ServerErrorKind, code: Option<&str>) -> Error {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::TryAgain => Error::new(
            ErrorKind::Unavailable,
            "Redis is starting up or without a master",
        ),
        ServerErrorKind::ReadOnly => by_code("READONLY"),
        ServerErrorKind::NoPerm => by_code("NOPERM"),
        _ => by_code(code.unwrap_or_default()),
    }
}

fn by_code(code: &str) -> Error {
    match code {
        "WRONGTYPE" => Error::new(
            ErrorKind::WrongType,
            "the key holds another type of Redis value; it is left alone",
        ),
        "OOM" => Error::new(
            ErrorKind::OutOfMemory,
            "Redis is over its maxmemory and evicts nothing: raise it or set a maxmemory-policy",
        ),
        "READONLY" => Error::new(
            ErrorKind::ReadOnly,
            "this Redis is a replica: writes go to the master",
        ),
        "NOAUTH" | "WRONGPASS" => Error::new(
            ErrorKind::Auth,
            "Redis refused the credentials: check user and password in the URL",
        ),
        "NOPERM" => Error::new(
            ErrorKind::Auth,
            "the Redis user may not do this: it needs HELLO, SELECT, PING, TIME, GET, MGET, SET, DEL, UNLINK, SCAN, EVAL, EVALSHA, PUBLISH, SUBSCRIBE and UNSUBSCRIBE, on the keys ~larder:* and the channels &larder:*",
        ),
        "BUSY" | "MISCONF" | "NOREPLICAS" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" => Error::new(
            ErrorKind::Unavailable,
            format!("Redis can't serve this for the time being ({code})"),
        ),
        code => Error::new(
            ErrorKind::Server,
            format!("Redis answered with the error {code}"),
        ),
    }
}

/// Whether the server won't do its work over this connection any more.
pub(crate) fn refuses_connection(error: &ServerError) -> bool {
    matches!(error.code(), "READONLY" | "NOAUTH")
}
