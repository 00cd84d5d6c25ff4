//! By which names a server is known to authenticators (the RP ID) and to browsers (origins).

use std::{fmt, net::Ipv6Addr, str::FromStr};

use thiserror::Error;

use crate::{digest::sha256, proofs::target_uri::TargetUri};

/// An RP ID: the domain that passkeys are made for (WebAuthn §4). `localhost` is a domain too, an
/// IP address is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpId(Box<str>);

impl RpId {
    /// The longest domain, in characters (RFC 1035 §2.3.4).
    pub const MAX_LEN: usize = 253;

    /// The domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the domain, which authenticators write into what they sign.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[self.0.as_bytes()])
    }

    /// Whether pages of `host` may use passkeys of this RP ID without being a related origin: it is
    /// the domain itself, or below it.
    ///
    /// Browsers refuse domains such as `co.uk` besides, below which everybody may have a name. Here only
    /// those without a dot are refused, such as `org`.
    pub fn covers(&self, host: &str) -> bool {
        let below = host.strip_suffix(&*self.0).is_some_and(|front| front.ends_with('.'));
        host == &*self.0 || below && self.0.contains('.')
    }
}

impl FromStr for RpId {
    type Err = InvalidRpId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let labels_are_good = text.split('.').all(|label| {
            let fits = (1..=63).contains(&label.len());
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            fits && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
        });
        // The last label of an IPv4 address is a number, in whichever spelling (URL Standard, "ends
        // in a number").
        let last = text.rsplit('.').next().unwrap_or_default();
        let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
        if is_number || text.parse::<Ipv6Addr>().is_ok() || text.starts_with('[') {
            return Err(InvalidRpId::Address);
        }
        if text.len() > Self::MAX_LEN || !labels_are_good {
            return Err(InvalidRpId::NotADomain);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for RpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not an RP ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidRpId {
    /// An IP address.
    #[error(
        "browsers make passkeys for domains only, localhost being one, and not for IP addresses"
    )]
    Address,
    /// Not a domain as browsers write it.
    #[error(
        "not a domain as browsers write it: lower case, in ASCII (xn--… for other letters), without \
         scheme, port and slash, at most 253 characters"
    )]
    NotADomain,
}

/// The origin of a page, as browsers write it: scheme, host, and the port if it is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Box<str>);

impl Origin {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, without the port.
    pub fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or("", |(_, authority)| authority);
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = TargetUri::parse(text).map_err(|_| InvalidOrigin::NotAnOrigin)?;
        if uri.origin() != text {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        let origin = Self(text.into());
        let host = origin.host();
        let is_local = host == "localhost" || host.ends_with(".localhost");
        if text.starts_with("https://") || is_local {
            Ok(origin)
        } else {
            Err(InvalidOrigin::Insecure)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not an origin whose pages can use passkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidOrigin {
    /// Plain HTTP, where browsers have no passkeys.
    #[error(
        "browsers have passkeys on https only, and on http only for localhost and names below it"
    )]
    Insecure,
    /// Not an origin as browsers write it.
    #[error(
        "not an origin as browsers write it: https://HOST or https://HOST:PORT in lower case, without \
         the usual port and without a slash at the end"
    )]
    NotAnOrigin,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rp_id_is_a_domain_and_no_address() {
        for domain in ["localhost", "example.org", "a.b-c.example", "xn--bcher-kva.example", "1.a"]
        {
            assert_eq!(domain.parse::<RpId>().unwrap().as_str(), domain);
        }
        for address in ["127.0.0.1", "::1", "[::1]", "1.2", "127.1", "0x7f.1"] {
            assert_eq!(address.parse::<RpId>(), Err(InvalidRpId::Address), "{address}");
        }
        let long = format!("{}.org", ["a"; 126].join("."));
        for other in [
            "",
            "Example.org",
            "example.org.",
            ".org",
            "a..b",
            "a_b.org",
            "bücher.example",
            "-a.org",
            &long,
        ] {
            assert_eq!(other.parse::<RpId>(), Err(InvalidRpId::NotADomain), "{other}");
        }
        for url in ["https://example.org", "example.org:8443", "example.org/"] {
            assert!(url.parse::<RpId>().is_err(), "{url}");
        }
    }

    #[test]
    fn an_rp_id_covers_itself_and_the_names_below_it() {
        let id: RpId = "example.org".parse().unwrap();
        for host in ["example.org", "auth.example.org", "a.b.example.org"] {
            assert!(id.covers(host), "{host}");
        }
        for host in ["org", "badexample.org", "example.org.evil", "example.com", ""] {
            assert!(!id.covers(host), "{host}");
        }
        assert!(!"org".parse::<RpId>().unwrap().covers("example.org"));
        assert!("localhost".parse::<RpId>().unwrap().covers("localhost"));
    }

    #[test]
    fn an_origin_has_one_spelling_and_is_secure() {
        for (text, host) in [
            ("https://example.org", "example.org"),
            ("https://example.org:8443", "example.org"),
            ("http://localhost:8080", "localhost"),
            ("http://app.localhost", "app.localhost"),
            ("https://[::1]:8443", "[::1]"),
            ("https://[::1]", "[::1]"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().host(), host);
        }
        for text in ["http://example.org", "http://127.0.0.1:8080", "http://localhost.example"] {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin::Insecure), "{text}");
        }
        for text in [
            "https://example.org/",
            "https://example.org:443",
            "https://EXAMPLE.org",
            "https://a@example.org",
            "ftp://example.org",
            "android:apk-key-hash:abc",
            "example.org",
            "null",
            "",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin::NotAnOrigin), "{text}");
        }
    }
}
