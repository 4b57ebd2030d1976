//! The address at the other end of the connection.

use std::{fmt, net::IpAddr, sync::Arc};

use http::request::Parts;

use super::{KeyExtractor, ip::Ipv6Prefix};

type Find = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

/// The key is the address of the peer, as the server left it in the request's extensions. An IPv6 address counts by its
/// first 64 bits, an IPv4 address that is mapped into IPv6 as itself.
///
/// With axum, serve by `into_make_service_with_connect_info::<SocketAddr>()` and take
/// `PeerIp::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip())`; with tonic,
/// `PeerIp::new(|request| Some(request.extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip()))`.
///
/// Behind a proxy the peer is the proxy, and all its clients are one: see [`XForwardedFor`](crate::XForwardedFor).
#[derive(Clone)]
pub struct PeerIp {
    find: Arc<Find>,
    prefix: Ipv6Prefix,
}

impl PeerIp {
    /// From an extension of type `T`. Requests without one have no key.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::extract::ConnectInfo;
    /// use larder_tower::PeerIp;
    ///
    /// let by_peer = PeerIp::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip());
    /// ```
    #[must_use]
    pub fn from_extension<T>(address: impl Fn(&T) -> IpAddr + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
    {
        Self::new(move |request: &Parts| request.extensions.get::<T>().map(&address))
    }

    /// From wherever the closure finds it.
    #[must_use]
    pub fn new(find: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self {
            find: Arc::new(find),
            prefix: Ipv6Prefix::default(),
        }
    }

    /// How many bits of an IPv6 address make the key, at most 128. The default: 64.
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.prefix = Ipv6Prefix::new(bits);
        self
    }
}

impl KeyExtractor for PeerIp {
    fn key(&self, request: &Parts) -> Option<String> {
        (self.find)(request).map(|address| self.prefix.key(address))
    }
}

impl fmt::Debug for PeerIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerIp")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
