//! Structured field values (RFC 9651), the parts that are needed.

use std::fmt;

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

/// A string of printable ASCII (section 3.3.3).
pub(super) struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Nothing but printable ASCII can be one; an empty one names nothing.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let printable = |byte: u8| matches!(byte, b' '..=b'~');
        (!text.is_empty() && text.bytes().all(printable)).then_some(Self(text))
    }
}

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
            assert_eq!(Text::new(text).expect("a string").to_string(), written);
        }
    }

    #[test]
    fn what_is_not_printable_ascii_is_no_string() {
        for text in ["", "naïve", "a\nb", "a\tb", "a\0", "\x7f", "日"] {
            assert!(Text::new(text).is_none(), "{text:?}");
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
