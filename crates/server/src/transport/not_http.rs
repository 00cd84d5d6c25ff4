//! Recognises other protocols on the port of HTTP, and tells the administrator that two programs do
//! not speak the same protocol.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Once, OnceLock},
};

use rustls::{Error as TlsError, InvalidMessage};

use crate::metrics::Metrics;

/// How many first bytes suffice to tell protocols apart.
const BEGINNING: usize = 8;

/// The first bytes that came in a connection, as many as came at once.
#[derive(Clone, Default)]
pub(crate) struct FirstBytes(Arc<OnceLock<[u8; BEGINNING]>>);

impl FirstBytes {
    /// Keeps the beginning of `arrived`, which is the first that has arrived.
    pub(crate) fn keep(&self, arrived: &[u8]) {
        if self.0.get().is_none() {
            let mut first = [0; BEGINNING];
            let length = arrived.len().min(BEGINNING);
            first[..length].copy_from_slice(&arrived[..length]);
            // Another value cannot be there: a connection is read by one task.
            let _ = self.0.set(first);
        }
    }
}

/// A protocol other than the one spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// The PROXY protocol of load balancers, in either version.
    Proxy,
    /// TLS, where plain HTTP is spoken.
    Tls,
    /// Anything else than TLS, where TLS is spoken.
    Unencrypted,
}

impl Foreign {
    /// The protocol that arrived on a failed connection of plain HTTP.
    pub(crate) fn of_plain(first: &FirstBytes) -> Option<Self> {
        match first.0.get()? {
            // A record of a handshake, of SSL 3.0 or any TLS (RFC 8446 §5.1).
            [0x16, 0x03, ..] => Some(Self::Tls),
            b"\r\n\r\n\0\r\nQ" => Some(Self::Proxy),
            first if first.starts_with(b"PROXY ") => Some(Self::Proxy),
            _ => None,
        }
    }

    /// The protocol that arrived when a TLS handshake failed with `error`.
    pub(crate) fn of_handshake(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref()? {
            TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Self::Unencrypted),
            _ => None,
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Proxy => {
                "a load balancer speaks the PROXY protocol, which is not understood here: switch it off \
                 there (`send-proxy`, `proxy_protocol`), and let it name clients in X-Forwarded-For \
                 (trusted_proxies)"
            }
            Self::Tls => {
                "somebody speaks TLS, and plain HTTP is spoken here: use http:// in clients and proxies, \
                 or give the server a certificate (tls.cert and tls.key)"
            }
            Self::Unencrypted => {
                "somebody speaks plain HTTP, or the PROXY protocol, and TLS is spoken here: use https:// in \
                 clients and proxies"
            }
        }
    }
}

/// The protocols that the log has explained already.
pub(crate) struct Explained {
    proxy: Once,
    tls: Once,
    unencrypted: Once,
}

impl Explained {
    /// None.
    pub(crate) const fn nothing() -> Self {
        Self { proxy: Once::new(), tls: Once::new(), unencrypted: Once::new() }
    }

    /// Counts what arrived; the first of each kind leaves a line in the log.
    pub(crate) fn note(&self, foreign: Foreign, peer: SocketAddr, metrics: &Metrics) {
        metrics.refused("not-http");
        let once = match foreign {
            Foreign::Proxy => &self.proxy,
            Foreign::Tls => &self.tls,
            Foreign::Unencrypted => &self.unencrypted,
        };
        once.call_once(|| {
            tracing::warn!(
                peer = %peer.ip(),
                "{}. Further connections like this one are counted, not explained",
                foreign.advice()
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_known_by_its_first_bytes() {
        let of = |bytes: &[u8]| {
            let first = FirstBytes::default();
            first.keep(bytes);
            first.keep(b"later");
            Foreign::of_plain(&first)
        };
        assert_eq!(of(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"), Some(Foreign::Tls));
        assert_eq!(of(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), Some(Foreign::Proxy));
        assert_eq!(of(b"\r\n\r\n\0\r\nQUIT\n"), Some(Foreign::Proxy));
        for other in [&b"GET / HT"[..], b"PRI * HTTP/2.0", b"PROXYX", b"\x16", b""] {
            assert_eq!(of(other), None, "{other:?}");
        }
        assert_eq!(Foreign::of_plain(&FirstBytes::default()), None);
    }
}
