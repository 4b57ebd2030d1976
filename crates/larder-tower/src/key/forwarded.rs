//! The client's address, as proxies tell it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, request::Parts};

use super::{KeyExtractor, ip::Ipv6Prefix};
use crate::{Error, ErrorKind, Result};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The key is the client's address out of `X-Forwarded-For`, to which each proxy adds at the right whom it was asked by.
///
/// With `n` trusted hops that is the `n`-th address from the right: the one that the outermost proxy of yours has seen
/// itself. What stands further left was written by the client, and is never looked at.
///
/// | proxies of yours | `X-Forwarded-For` | key |
/// |---|---|---|
/// | 1 | `192.0.2.1` | `192.0.2.1` |
/// | 1 | `10.6.6.6, 192.0.2.1` | `192.0.2.1` |
/// | 2 | `10.6.6.6, 192.0.2.1, 198.51.100.7` | `192.0.2.1` |
/// | 2 | `198.51.100.7` | none: too few |
/// | 1 | `192.0.2.1, unknown` | none: not an address |
/// | 1 | `[2001:db8:1:2::3]:4711` | `2001:db8:1:2::/64` |
///
/// Several lines of the field are one list. An empty place counts, so that nothing moves a client's own words to where a proxy's
/// are expected. A port is ignored. An IPv6 address counts by its first 64 bits, an IPv4 address that is mapped into IPv6 as itself.
/// A list that is too short, or has anything but an address at that place, gives no key.
///
/// Whoever can reach the server past the proxies writes the whole list: let nobody.
///
/// Source: the field is de facto; <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>.
#[derive(Debug, Clone, Copy)]
pub struct XForwardedFor {
    hops: usize,
    prefix: Ipv6Prefix,
}

impl XForwardedFor {
    /// Behind this many proxies that all add to the field.
    ///
    /// # Errors
    /// [`ErrorKind::TrustedHops`] for 0: without a proxy nothing in the field is true.
    pub fn trusted_hops(hops: usize) -> Result<Self> {
        if hops == 0 {
            return Err(Error::new(
                ErrorKind::TrustedHops,
                "without a trusted proxy X-Forwarded-For is the client's word: use the peer's address",
            ));
        }
        Ok(Self {
            hops,
            prefix: Ipv6Prefix::default(),
        })
    }

    /// How many bits of an IPv6 address make the key, at most 128. The default: 64.
    #[must_use]
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.prefix = Ipv6Prefix::new(bits);
        self
    }
}

impl KeyExtractor for XForwardedFor {
    fn key(&self, request: &Parts) -> Option<String> {
        let lines = request.headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut places = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let place = places.nth(self.hops - 1)?;
        let address = address(std::str::from_utf8(place).ok()?)?;
        Some(self.prefix.key(address))
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(place: &str) -> Option<IpAddr> {
    let place = place.trim_matches([' ', '\t']);
    let bracketed = || place.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let plain = place.parse().ok();
    let with_port = || place.parse().ok().map(|address: SocketAddr| address.ip());
    plain
        .or_else(with_port)
        .or_else(|| bracketed().map(IpAddr::V6))
}
