//! Compressing large payloads.

use std::io::Read;

use larder_store::BoxError;

/// The bit of the codec number that says the payload is compressed.
pub(crate) const COMPRESSED: u8 = 0x80;

/// zstd over a size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compression {
    /// Payloads shorter than this stay as they are.
    pub(crate) threshold: usize,
    pub(crate) level: i32,
}

impl Compression {
    /// Compresses what follows the first `keep` bytes, if it is long enough and gets shorter by it. Says whether.
    pub(crate) fn compress(self, bytes: &mut Vec<u8>, keep: usize) -> Result<bool, BoxError> {
        let payload = &bytes[keep..];
        if payload.len() < self.threshold {
            return Ok(false);
        }
        let shorter = zstd::bulk::compress(payload, self.level)?;
        if shorter.len() >= payload.len() {
            return Ok(false);
        }
        bytes.truncate(keep);
        bytes.extend_from_slice(&shorter);
        Ok(true)
    }
}

/// Decompresses a payload, up to `limit` bytes.
pub(crate) fn decompress(payload: &[u8], limit: usize) -> Result<Vec<u8>, BoxError> {
    let mut bytes = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(payload)?;
    decoder
        .take((limit as u64).saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err("the decompressed value is over the limit".into());
    }
    Ok(bytes)
}
