//! How values become bytes.

#[cfg(feature = "json")]
mod json;
mod message_pack;
#[cfg(feature = "prost")]
mod protobuf;

#[cfg(feature = "json")]
pub use json::Json;
pub use message_pack::MessagePack;
#[cfg(feature = "prost")]
pub use protobuf::Protobuf;

use larder_store::BoxError;

/// Encodes and decodes values of one type.
///
/// # For implementers
/// `decode` must refuse what it doesn't understand, and must not panic on any bytes: its error makes the record
/// a miss that is counted and replaced. Records that were cut off, lengthened or damaged don't reach it: their
/// checksum fails.
pub trait Codec<V>: Send + Sync + 'static {
    /// A number between 1 and 127 that is written into every record: 1 MessagePack, 2 JSON, 3 Protobuf, from
    /// 64 on yours. A record with another number is not decoded.
    fn id(&self) -> u8;

    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    /// If the value has no encoding. It is then returned to the caller, uncached.
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), BoxError>;

    /// Reads a value.
    ///
    /// # Errors
    /// If the bytes are no such value.
    fn decode(&self, bytes: &[u8]) -> Result<V, BoxError>;
}
