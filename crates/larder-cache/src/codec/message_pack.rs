//! MessagePack.

use larder_store::BoxError;
use serde::{Serialize, de::DeserializeOwned};

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
        rmp_serde::from_slice(bytes).map_err(Into::into)
    }
}
