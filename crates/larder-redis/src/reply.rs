//! Redis' replies as the store's.

use bytes::Bytes;
use larder_store::{Cursor, Error, ErrorKind, Key, Page, Reply, Result};
use redis::Value;

use crate::{clock::Clock, error};

/// A record, or that there is none.
pub(crate) fn record(value: Value) -> Result<Option<Bytes>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::ServerError(error) => Err(error::server(error)),
        _ => Err(unexpected()),
    }
}

/// As many records as were asked for.
pub(crate) fn records(value: Value, count: usize) -> Result<Vec<Option<Bytes>>> {
    match value {
        Value::Array(values) if values.len() == count => values.into_iter().map(record).collect(),
        Value::ServerError(error) => Err(error::server(error)),
        _ => Err(unexpected()),
    }
}

/// A page of keys. One that is too long for a key of ours isn't one.
pub(crate) fn page(value: Value, epoch: u64) -> Result<Page> {
    let parts = match value {
        Value::Array(parts) => <[Value; 2]>::try_from(parts),
        Value::ServerError(error) => return Err(error::server(error)),
        _ => return Err(unexpected()),
    };
    let Ok([Value::BulkString(cursor), Value::Array(keys)]) = parts else {
        return Err(unexpected());
    };
    let place = std::str::from_utf8(&cursor)
        .ok()
        .and_then(|place| place.parse().ok())
        .ok_or_else(unexpected)?;
    let key = |key| match key {
        Value::BulkString(bytes) => Key::from_raw(&bytes).ok(),
        _ => None,
    };
    Ok(Page {
        keys: keys.into_iter().filter_map(key).collect(),
        next: Some(Cursor { place, epoch }).filter(|cursor| cursor.place != 0),
    })
}

/// A count.
pub(crate) fn count(value: Value) -> Result<u64> {
    match value {
        Value::Int(count) => u64::try_from(count).map_err(|_negative| unexpected()),
        Value::ServerError(error) => Err(error::server(error)),
        _ => Err(unexpected()),
    }
}

/// That it was done.
pub(crate) fn done(value: Value) -> Result<()> {
    match value {
        Value::ServerError(error) => Err(error::server(error)),
        _ => Ok(()),
    }
}

/// What a script replied; the time that comes with it sets the clock.
pub(crate) fn scripted(value: Value, clock: &Clock) -> Result<Reply> {
    match value {
        Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::Int(now_us), reply]) => {
                clock.observe(now_us);
                plain(reply)
            }
            _ => Err(unexpected()),
        },
        Value::ServerError(error) => Err(error::server(error)),
        _ => Err(unexpected()),
    }
}

fn plain(value: Value) -> Result<Reply> {
    match value {
        Value::Nil => Ok(Reply::Nil),
        Value::Int(int) => Ok(Reply::Int(int)),
        Value::BulkString(bytes) => Ok(Reply::Bytes(bytes.into())),
        Value::Array(values) => {
            let replies: Result<_> = values.into_iter().map(plain).collect();
            replies.map(Reply::List)
        }
        _ => Err(unexpected()),
    }
}

/// About how many bytes it took on the wire.
pub(crate) fn size(value: &Value) -> usize {
    const FRAMING: usize = 8;
    match value {
        Value::BulkString(bytes) => FRAMING + bytes.len(),
        Value::Array(values) => FRAMING + values.iter().map(size).sum::<usize>(),
        _ => FRAMING,
    }
}

fn unexpected() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "Redis' reply has another shape than the command's",
    )
}
