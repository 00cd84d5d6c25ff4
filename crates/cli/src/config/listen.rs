//! Where a server listens.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Both loopback addresses with this port: some clients mean 127.0.0.1 by `localhost`, and others
    /// try `[::1]` first.
    Localhost(u16),
    /// This address.
    Address(SocketAddr),
}

/// A text that says no place to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not ADDR:PORT, an IP address and a port: localhost:8080 for this machine alone, \
     127.0.0.1:8080 for its IPv4 alone, 0.0.0.0:8080 for every network, [::1]:8080 or [::]:8080 for \
     IPv6"
)]
pub(crate) struct NoListen(String);

impl Listen {
    /// Whether only programs on this machine can connect.
    pub(crate) const fn is_loopback(self) -> bool {
        match self {
            Self::Localhost(_) => true,
            Self::Address(address) => address.ip().is_loopback(),
        }
    }

    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Localhost(port) => port,
            Self::Address(address) => address.port(),
        }
    }

    /// The same with the port that the system chose for port 0.
    pub(crate) const fn with_port(self, port: u16) -> Self {
        match self {
            Self::Localhost(_) => Self::Localhost(port),
            Self::Address(address) => Self::Address(SocketAddr::new(address.ip(), port)),
        }
    }

    /// The addresses, the one that must be there first.
    pub(crate) fn addresses(self) -> (SocketAddr, Option<SocketAddr>) {
        match self {
            Self::Localhost(port) => {
                let other = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
                (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Some(other))
            }
            Self::Address(address) => (address, None),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Reads `localhost` or an IP address, and a port. Another name, or a port alone, would not say which
/// addresses are meant and whether the network can reach them.
impl FromStr for Listen {
    type Err = NoListen;

    fn from_str(text: &str) -> Result<Self, NoListen> {
        let port = text.strip_prefix("localhost:").filter(|port| !port.starts_with('+'));
        let localhost = port.and_then(|port| port.parse().ok()).map(Self::Localhost);
        let address = || text.parse().ok().map(Self::Address);
        localhost.or_else(address).ok_or_else(|| NoListen(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
