//! One key a line. Blank lines and the space around a key don't count.

use anyhow::{Context, Result};

/// The keys, in order.
pub(super) fn keys(bytes: &[u8]) -> Result<impl Iterator<Item = &str>> {
    let text = std::str::from_utf8(bytes).context("it is not text in UTF-8")?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_keys() {
        let keys = super::keys("\u{FEFF}7\r\n\n /page?id=7 \nlast".as_bytes()).expect("text");
        assert_eq!(keys.collect::<Vec<_>>(), ["7", "/page?id=7", "last"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(super::keys(&[0xFF, 0xFE]).is_err());
    }
}
