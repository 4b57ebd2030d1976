//! Protocol Buffers.

use larder_store::BoxError;
use prost::Message;

use super::Codec;

/// Protocol Buffers by prost: for messages that other languages read too.
#[derive(Debug, Clone, Copy, Default)]
pub struct Protobuf;

impl<V: Message + Default + 'static> Codec<V> for Protobuf {
    fn id(&self) -> u8 {
        3
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError> {
        value.encode(out).map_err(Into::into)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError> {
        V::decode(bytes).map_err(Into::into)
    }
}
