//! Where the server is, without its secrets.

use std::fmt;

use larder_store::{Error, ErrorKind, Result};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// A server's address with the settings of every connection to it. `Debug` and `Display` show neither user nor
/// password.
#[derive(Clone)]
pub(crate) struct Endpoint {
    info: ConnectionInfo,
}

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if url.starts_with("rediss:") {
            return Err(without_tls());
        }
        // The library's own error is left out: it may quote the URL, and with it the password.
        let bad = |_| {
            Error::new(
                ErrorKind::Config,
                "the Redis URL can't be used; its forms are redis://[user:password@]host[:port][/database] and redis+unix:///path[?db=database&user=user&pass=password]",
            )
        };
        let info = url.into_connection_info().map_err(bad)?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(without_tls());
        }
        let redis = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(Self {
            info: info.set_redis_settings(redis).set_tcp_settings(tcp),
        })
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

fn without_tls() -> Error {
    Error::new(
        ErrorKind::Config,
        "rediss:// needs TLS, which this version of larder-redis doesn't have: use redis:// in a trusted network",
    )
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.info.redis_settings().db();
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => write!(f, "redis://{host}:{port}/{database}"),
            ConnectionAddr::Unix(path) => {
                write!(f, "redis+unix://{}?db={database}", path.display())
            }
            _ => f.write_str("redis"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
