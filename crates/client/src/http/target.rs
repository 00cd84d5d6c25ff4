//! Addresses that a token may be sent to.

use std::{fmt::Display, net::IpAddr};

use countersign_protocol::proofs::target_uri::TargetUri;
use http::Method;
use reqwest::Url;

use super::error::ClientError;
use super::message::Message;

/// An `https` URL, or an `http` URL of a loopback address.
#[derive(Clone, Debug)]
pub(super) struct Target {
    url: Url,
    uri: TargetUri,
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, ClientError> {
        let invalid = || ClientError::Address { address: text.to_owned() };
        let url = Url::parse(text).map_err(|_| invalid())?;
        // The URL that is signed is taken from the URL that is sent.
        let uri = TargetUri::parse(url.as_str()).map_err(|_| invalid())?;
        let target = Self { url, uri };
        if target.is_plain() && !target.is_loopback() {
            return Err(ClientError::Insecure { origin: target.origin().to_owned() });
        }
        Ok(target)
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The URL as it is sent, without query and fragment: what a proof names.
    pub(super) fn htu(&self) -> &str {
        self.url.as_str().split(['?', '#']).next().unwrap_or_default()
    }

    /// The URL without query and fragment, normalised.
    pub(super) fn uri(&self) -> &TargetUri {
        &self.uri
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        self.uri.origin()
    }

    /// Whether it is `http`.
    pub(super) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// A POST of form fields to this address, whose URL lends the encoding: that of a query.
    pub(super) fn form<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a str)>) -> Message {
        let mut url = self.url.clone();
        url.query_pairs_mut().clear().extend_pairs(fields);
        let body = url.query().unwrap_or_default().as_bytes().to_vec();
        Message::with_content(Method::POST, "application/x-www-form-urlencoded", body)
    }

    /// The error for an answer of this address that makes no sense.
    pub(super) fn unexpected(&self, reason: impl Display) -> ClientError {
        let address = self.uri.as_str().to_owned();
        ClientError::UnexpectedAnswer { address, reason: reason.to_string() }
    }

    /// The names under `localhost` count too (RFC 6761 §6.3).
    fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or_else(
            |_| host == "localhost" || host.ends_with(".localhost"),
            |address| address.is_loopback(),
        )
    }
}

/// Whether tokens and proofs may be sent to `address`: an `https` URL, or an `http` URL of a loopback
/// address.
///
/// # Errors
/// When they may not.
pub fn check_address(address: &str) -> Result<(), ClientError> {
    Target::parse(address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_addresses_only() {
        for good in [
            "http://127.0.0.1:8080/x",
            "http://127.8.9.1",
            "http://[::1]:8080/",
            "http://LOCALHOST/x?y#z",
            "http://a.localhost/",
            "http://2130706433/",
            "https://auth.example/",
            "https://10.0.0.1/",
        ] {
            assert!(Target::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://auth.example/",
            "http://10.0.0.1:8080/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::ffff:10.0.0.1]/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
        ] {
            let refused = Target::parse(bad);
            assert!(matches!(refused, Err(ClientError::Insecure { .. })), "{bad}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "auth.example",
            "/x",
            "ftp://a/",
            "file:///etc/passwd",
            "https://u:p@a/",
            "data:,x",
        ] {
            let refused = Target::parse(bad);
            assert!(matches!(refused, Err(ClientError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn the_signed_uri_is_that_of_the_request_without_query_and_fragment() {
        let target = Target::parse("HTTPS://Auth.Example:443/a/../b%7e?c=d#e").unwrap();
        assert_eq!(target.uri().as_str(), "https://auth.example/b~");
        assert_eq!(target.htu(), "https://auth.example/b%7e", "as it is sent");
        let encoded = Target::parse("http://127.0.0.1:8000/x/%7Ea/%c3%a4?q=1").unwrap();
        assert_eq!(encoded.htu(), "http://127.0.0.1:8000/x/%7Ea/%c3%a4");
        assert_eq!(target.origin(), "https://auth.example");
        assert_eq!(target.url().query(), Some("c=d"));
    }
}
