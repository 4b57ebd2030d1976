//! The format of cache2k's benchmark traces: big-endian 32-bit integers, one a request, and nothing else.

use anyhow::{Result, ensure};

/// The keys, in order.
pub(super) fn keys(bytes: &[u8]) -> Result<impl Iterator<Item = i32>> {
    let (keys, rest) = bytes.as_chunks::<4>();
    ensure!(
        rest.is_empty(),
        "it looks binary, but its {} bytes are not a whole number of 4-byte keys: it is cut off or of another format",
        bytes.len()
    );
    Ok(keys.iter().map(|key| i32::from_be_bytes(*key)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_are_big_endian() {
        let keys = super::keys(&[0, 0, 1, 2, 0xFF, 0xFF, 0xFF, 0xFF]).expect("two keys");
        assert_eq!(keys.collect::<Vec<_>>(), [258, -1]);
    }

    #[test]
    fn half_a_key_is_refused() {
        assert!(super::keys(&[0, 0, 1]).is_err());
    }
}
