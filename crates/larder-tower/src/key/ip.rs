//! Addresses as keys.

use std::net::{IpAddr, Ipv6Addr};

/// How much of an IPv6 address makes a key. Providers give a customer a /64 or more, so that whoever is limited by the whole
/// address has as many quotas as he wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ipv6Prefix(u8);

impl Default for Ipv6Prefix {
    fn default() -> Self {
        Self(64)
    }
}

impl Ipv6Prefix {
    pub(super) const fn new(bits: u8) -> Self {
        Self(if bits > 128 { 128 } else { bits })
    }

    /// `192.0.2.1`, and so for an IPv4 address that is mapped into IPv6; `2001:db8:1:2::/64`.
    pub(super) fn key(self, address: IpAddr) -> String {
        match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) if self.0 == 128 => address.to_string(),
            IpAddr::V6(address) => format!("{}/{}", self.masked(address), self.0),
        }
    }

    fn masked(self, address: Ipv6Addr) -> Ipv6Addr {
        let host = u128::MAX.checked_shr(u32::from(self.0)).unwrap_or(0);
        Ipv6Addr::from_bits(address.to_bits() & !host)
    }
}
