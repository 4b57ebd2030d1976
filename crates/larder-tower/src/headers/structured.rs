//! Structured field values (RFC 9651), the parts that are needed.

use std::fmt::{self, Write};

use http::HeaderValue;

/// A list (section 3.1). `None` if an item has what no field can.
pub(super) fn list(items: impl Iterator<Item = Item>) -> Option<HeaderValue> {
    let items: Vec<_> = items.map(|item| item.0).collect();
    HeaderValue::try_from(items.join(", ")).ok()
}

/// An item of a list that is a string with parameters (section 3.1.2).
pub(super) struct Item(String);

impl Item {
    pub(super) fn new(text: &str) -> Self {
        Self(Text(text).to_string())
    }

    /// Writing to a string can't fail.
    pub(super) fn with(mut self, parameter: &str, value: impl fmt::Display) -> Self {
        let _infallible = write!(self.0, ";{parameter}={value}");
        self
    }

    pub(super) fn with_some(self, parameter: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(parameter, value),
            None => self,
        }
    }
}

/// An integer: fifteen digits at the most (section 3.3.1). More is written as the most.
pub(super) struct Integer(pub(super) u64);

impl Integer {
    const MOST: u64 = 999_999_999_999_999;
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.min(Self::MOST))
    }
}

/// Whether a text can be a string: printable ASCII, and something at all.
pub(super) fn is_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A string of printable ASCII (section 3.3.3).
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for part in self.0.split_inclusive(['"', '\\']) {
            match part.strip_suffix(['"', '\\']) {
                Some(plain) => write!(f, "{plain}\\{}", &part[plain.len()..])?,
                None => f.write_str(part)?,
            }
        }
        f.write_str("\"")
    }
}

/// A byte sequence (section 3.3.5): base64 with padding (RFC 4648, section 4) between colons.
pub(super) struct Binary<'a>(pub(super) &'a [u8]);

impl fmt::Display for Binary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(":")?;
        for group in self.0.chunks(3) {
            let bits = group.iter().zip([16, 8, 0]);
            let bits = bits.fold(0, |sum, (byte, shift)| sum | u32::from(*byte) << shift);
            for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
                let digit = char::from(DIGITS[(bits >> shift & 63) as usize]);
                write!(f, "{}", if at > group.len() { '=' } else { digit })?;
            }
        }
        f.write_str(":")
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_fifteen_digits_at_the_most() {
        for (number, written) in [
            (0, "0"),
            (42, "42"),
            (999_999_999_999_999, "999999999999999"),
            (1_000_000_000_000_000, "999999999999999"),
            (u64::MAX, "999999999999999"),
        ] {
            assert_eq!(Integer(number).to_string(), written);
        }
    }

    #[test]
    fn strings_escape_quotes_and_backslashes() {
        for (text, written) in [
            ("default", r#""default""#),
            ("a b~", r#""a b~""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            (r"a\b\\", r#""a\\b\\\\""#),
            (r#"\""#, r#""\\\"""#),
        ] {
            assert_eq!(Text(text).to_string(), written);
        }
    }

    #[test]
    fn what_is_not_printable_ascii_is_no_string() {
        for text in ["", "naïve", "a\nb", "a\tb", "a\0", "\x7f", "日"] {
            assert!(!is_text(text), "{text:?}");
        }
    }

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn bytes_are_base64() {
        for (bytes, written) in [
            ("", "::"),
            ("f", ":Zg==:"),
            ("fo", ":Zm8=:"),
            ("foo", ":Zm9v:"),
            ("foob", ":Zm9vYg==:"),
            ("fooba", ":Zm9vYmE=:"),
            ("foobar", ":Zm9vYmFy:"),
        ] {
            assert_eq!(Binary(bytes.as_bytes()).to_string(), written);
        }
        assert_eq!(Binary(&[0xff, 0xfe, 0xfb]).to_string(), "://77:");
    }
}
