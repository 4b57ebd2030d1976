//! JSON.

use larder_store::BoxError;
use serde::{Serialize, de::DeserializeOwned};

use super::Codec;

/// JSON: larger and slower than MessagePack, and readable with `redis-cli`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError> {
        serde_json::to_writer(out, value).map_err(Into::into)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError> {
        serde_json::from_slice(bytes).map_err(Into::into)
    }
}
