//! The names by which clients may call a server that listens on a loopback address.
//!
//! A web page anywhere can let its own name point to 127.0.0.1, and then read this server's answers
//! as its own (DNS rebinding). Its requests can be recognised by that name, which they carry.

use std::net::IpAddr;

use countersign_protocol::proofs::target_uri::TargetUri;
use http::{Request, header::HOST, uri::Authority};

/// The names by which a server may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHosts(Vec<String>);

impl KnownHosts {
    /// The hosts of `origins`, and `names`; besides these always `localhost` and loopback addresses.
    pub fn new<'a>(
        origins: impl IntoIterator<Item = &'a TargetUri>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let origins = origins.into_iter().filter_map(|origin| origin.origin().split("://").nth(1));
        let all = origins.chain(names).filter_map(host);
        Self(all.map(str::to_ascii_lowercase).collect())
    }

    /// The name by which `request` calls the server, if it is none of these. A request that names
    /// none comes from no web browser.
    pub(crate) fn foreign_name<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        let in_uri = request.uri().authority().map(Authority::as_str);
        let fields = request.headers().get_all(HOST).iter();
        let mut named =
            in_uri.into_iter().chain(fields.map(|field| field.to_str().unwrap_or_default()));
        named.find(|name| !host(name).is_some_and(|name| self.is_known(name)))
    }

    /// The names, besides `localhost` and loopback addresses.
    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    fn is_known(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(address) = address
            && address.to_canonical().is_loopback()
        {
            return true;
        }
        let lower = name.to_ascii_lowercase();
        lower == "localhost" || lower.ends_with(".localhost") || self.0.contains(&lower)
    }
}

/// The host of an authority, without its port.
fn host(authority: &str) -> Option<&str> {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    (!host.is_empty() && !host.contains('@')).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> KnownHosts {
        let origin = TargetUri::parse("https://auth.example:8443").unwrap();
        KnownHosts::new([&origin], ["box.lan"])
    }

    fn knows(host: &str) -> bool {
        let request = Request::get("/metrics").header(HOST, host).body(()).unwrap();
        hosts().foreign_name(&request).is_none()
    }

    #[test]
    fn own_names_and_loopback_are_known() {
        for own in [
            "localhost",
            "localhost:8080",
            "LocalHost.",
            "a.localhost:1",
            "127.0.0.1:8080",
            "127.8.9.1",
            "[::1]:8080",
            "[::1]",
            "auth.example",
            "AUTH.example:8443",
            "auth.example:443",
            "box.lan:8080",
        ] {
            assert!(knows(own), "{own}");
        }
        let unnamed = Request::get("/").body(()).unwrap();
        assert_eq!(hosts().foreign_name(&unnamed), None, "HTTP/1.0 names none");
    }

    #[test]
    fn a_foreign_name_is_not() {
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "auth.example.evil",
            "192.0.2.1:8080",
            "0.0.0.0:8080",
            "[2001:db8::1]:8080",
            "auth.example@evil.example",
            "",
            ":8080",
        ] {
            assert!(!knows(foreign), "{foreign}");
        }
        let two = Request::get("/").header(HOST, "localhost").header(HOST, "evil.example");
        assert_eq!(hosts().foreign_name(&two.body(()).unwrap()), Some("evil.example"));
        let in_uri = Request::get("http://evil.example/").header(HOST, "localhost");
        assert_eq!(hosts().foreign_name(&in_uri.body(()).unwrap()), Some("evil.example"));
    }
}
