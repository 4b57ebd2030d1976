//! MessagePack.

use larder_store::BoxError;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::Codec;

/// MessagePack with field names, the default: compact, fast, and a struct may gain fields that have
/// `#[serde(default)]` without a new namespace version.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessagePack;

impl<V: Serialize + DeserializeOwned> Codec<V> for MessagePack {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError> {
        rmp_serde::encode::write_named(out, value).map_err(Into::into)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError> {
        let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
        let value = V::deserialize(&mut decoder)?;
        // The decoder doesn't tell how far it got; at the end there is no next marker to read.
        match IgnoredAny::deserialize(&mut decoder) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err("bytes follow the MessagePack value".into()),
        }
    }
}
