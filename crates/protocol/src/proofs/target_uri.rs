//! The URI that a proof is for, normalised so that two spellings of one URI compare equal.

use std::{borrow::Cow, fmt, net::IpAddr};

use thiserror::Error;

/// A longer URI, in bytes, is refused.
pub const MAX_LEN: usize = 2048;

/// An absolute `http` or `https` URI without query and fragment, in the normal form of RFC 3986
/// §6.2.2 and §6.2.3: scheme and host in lower case, no default port, percent-encodings of
/// unreserved characters decoded and the others in upper case, dot segments removed, no empty path.
///
/// This is what RFC 9449 §4.3 compares `htu` by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetUri {
    text: String,
    path_at: usize,
}

impl TargetUri {
    /// Normalises `uri`; its query and fragment are dropped.
    ///
    /// # Errors
    /// When it is not an absolute `http` or `https` URI, or carries user information.
    pub fn parse(uri: &str) -> Result<Self, InvalidUri> {
        if uri.len() > MAX_LEN || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidUri);
        }
        let (scheme, rest) = uri.split_once("://").ok_or(InvalidUri)?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(InvalidUri),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut text = format!("{scheme}://{}", normal_authority(authority, default_port)?);
        let path_at = text.len();
        text.push_str(&normal_path(path)?);
        Ok(Self { text, path_at })
    }

    /// The URI of `path` (which may carry a query) at the origin of this one.
    ///
    /// # Errors
    /// When `path` is not an absolute path.
    pub fn join(&self, path: &str) -> Result<Self, InvalidUri> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let fits = path.len() <= MAX_LEN && path.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || !path.starts_with('/') {
            return Err(InvalidUri);
        }
        let text = [self.origin(), &normal_path(path)?].concat();
        Ok(Self { text, path_at: self.path_at })
    }

    /// The same for the path of a request that was received. Dot segments are refused: a router
    /// that does not remove them would serve another resource than the one that the normal form
    /// names.
    ///
    /// # Errors
    /// When `path` is not an absolute path, or has dot segments.
    pub fn join_received(&self, path: &str) -> Result<Self, InvalidUri> {
        if has_dot_segment(path) { Err(InvalidUri) } else { self.join(path) }
    }

    /// The whole URI.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme and authority, such as `https://auth.example`.
    pub fn origin(&self) -> &str {
        &self.text[..self.path_at]
    }

    /// Whether both are about one port of this machine under different names, such as `localhost` and
    /// 127.0.0.1.
    pub fn differs_in_loopback_name(&self, other: &Self) -> bool {
        let ((own, own_host), (others, others_host)) = (self.host_apart(), other.host_apart());
        own == others
            && own_host != others_host
            && [own_host, others_host].map(is_loopback) == [true; 2]
    }

    /// Scheme and port, and the host.
    fn host_apart(&self) -> ((&str, &str), &str) {
        let (scheme, authority) = self.origin().split_once("://").unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => ((scheme, port), host),
            _ => ((scheme, ""), authority),
        }
    }

    /// The path, which begins with a slash.
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }
}

/// Whether `host` is this machine: a loopback address, `localhost` or a name below it (RFC 6761 §6.3).
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_name = host == "localhost" || host.ends_with(".localhost");
    address.map_or(is_name, |address| address.is_loopback())
}

impl fmt::Display for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn normal_authority(authority: &str, default_port: u16) -> Result<String, InvalidUri> {
    let host_ends = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[host_ends..].split_once(':') {
        None => (authority, ""),
        Some((name, port)) => (&authority[..host_ends + name.len()], port),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let valid_host = if bracketed {
        host[1..host.len() - 1].bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b))
    } else {
        host.bytes().all(plain)
    };
    if host.is_empty() || host == "[]" || !valid_host || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidUri);
    }
    let host = host.to_ascii_lowercase();
    if port.is_empty() {
        return Ok(host);
    }
    // Port 0 is reserved (RFC 6335 §6) and must not read like no port at all.
    let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(InvalidUri)?;
    Ok(if port == default_port { host } else { format!("{host}:{port}") })
}

fn normal_path(path: &str) -> Result<Cow<'_, str>, InvalidUri> {
    if path.starts_with('/') && !path.contains('%') && !path.contains("/.") {
        return Ok(Cow::Borrowed(path));
    }
    Ok(Cow::Owned(remove_dot_segments(&normal_percent_encoding(path)?)))
}

/// RFC 3986 §6.2.2.1 and §6.2.2.2.
fn normal_percent_encoding(path: &str) -> Result<String, InvalidUri> {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(place) = rest.find('%') {
        normal.push_str(&rest[..place]);
        let digits = rest.get(place + 1..place + 3).ok_or(InvalidUri)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidUri);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidUri)?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.push_str(&digits.to_ascii_uppercase());
        }
        rest = &rest[place + 3..];
    }
    normal.push_str(rest);
    Ok(normal)
}

/// Whether a segment is `.` or `..`, also with its dots encoded.
fn has_dot_segment(path: &str) -> bool {
    let starts_like_one = |segment: &str| segment.starts_with(['.', '%']);
    let is_one = |segment: &str| {
        starts_like_one(segment)
            && matches!(normal_percent_encoding(segment).as_deref(), Ok("." | ".."))
    };
    (path.contains("/.") || path.contains("/%")) && path.split('/').any(is_one)
}

/// RFC 3986 §5.2.4 for a path that is empty or absolute.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    let mut ends_with_slash = false;
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => ends_with_slash = is_last,
            ".." => {
                kept.pop();
                ends_with_slash = is_last;
            }
            _ => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if ends_with_slash || normal.is_empty() {
        normal.push('/');
    }
    normal
}

/// Not an absolute `http` or `https` URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an absolute http or https URI")]
pub struct InvalidUri;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_uri_compare_equal() {
        let same = [
            ("https://Auth.Example/a", "HTTPS://auth.example:443/a"),
            ("http://a:80", "http://A/"),
            ("http://a:/x", "http://a/x"),
            ("http://a:00080/x", "http://a/x"),
            ("http://a/%7Euser", "http://a/~user"),
            ("http://a/%c3%a4", "http://a/%C3%A4"),
            ("http://a/b/../c/./d", "http://a/c/d"),
            ("http://a/b/%2E%2e/c", "http://a/c"),
            ("http://a/b/..", "http://a/"),
            ("http://a/b/.", "http://a/b/"),
            ("http://a/../../b", "http://a/b"),
            ("http://a/x?query=1#fragment", "http://a/x"),
            ("http://a?query", "http://a/"),
            ("http://[::1]:80/", "http://[::1]/"),
        ];
        for (one, other) in same {
            assert_eq!(TargetUri::parse(one).unwrap(), TargetUri::parse(other).unwrap(), "{one}");
        }
    }

    #[test]
    fn a_received_path_has_no_dot_segments() {
        let origin = TargetUri::parse("https://a").unwrap();
        for path in ["/a/../b", "/./a", "/a/%2e%2E/b", "/a/.%2e", "/.", "/a/.."] {
            assert_eq!(origin.join_received(path), Err(InvalidUri), "{path}");
        }
        for path in ["/", "/.well-known/x", "/a/...", "/a/.b", "/a/b..", "/%2eb", "/%2f", "/a?../b"]
        {
            assert_eq!(origin.join_received(path), origin.join(path), "{path}");
        }
    }

    #[test]
    fn different_resources_stay_different() {
        let different = [
            ("http://a/x", "https://a/x"),
            ("http://a/x", "http://a:8080/x"),
            ("http://a/x", "http://a/x/"),
            ("http://a/x", "http://a/X"),
            ("http://a/x/y", "http://a/x%2Fy"),
            ("http://a//x", "http://a/x"),
            ("http://a.b/x", "http://a/x"),
        ];
        for (one, other) in different {
            assert_ne!(TargetUri::parse(one).unwrap(), TargetUri::parse(other).unwrap(), "{one}");
        }
    }

    #[test]
    fn what_is_no_plain_web_uri_is_refused() {
        for uri in [
            "",
            "/x",
            "a/x",
            "//a/x",
            "ftp://a/x",
            "http://",
            "http:///x",
            "http://user@a/x",
            "http://user:pass@a/x",
            "http://a:8x/",
            "http://a:+80/",
            "http://a:0/",
            "http://a:000/",
            "http://a:65536/",
            "http://a:80:80/",
            "http://a b/",
            "http://a/ä",
            "http://a/%",
            "http://a/%4",
            "http://a/%zz",
            "http://a/%+f",
            "http://[::1/",
            "http://[]/",
            "http://a\\b/",
            "javascript://a/x",
        ] {
            assert_eq!(TargetUri::parse(uri), Err(InvalidUri), "{uri}");
        }
        assert!(TargetUri::parse(&format!("http://a/{}", "x".repeat(MAX_LEN))).is_err());
    }

    #[test]
    fn joining_keeps_the_origin_whatever_the_path_says() {
        let origin = TargetUri::parse("https://auth.example").unwrap();
        assert_eq!(
            origin.join("/v1/whoami?x=1").unwrap().as_str(),
            "https://auth.example/v1/whoami"
        );
        assert_eq!(origin.join("//evil/x").unwrap().as_str(), "https://auth.example//evil/x");
        assert_eq!(origin.join("/..").unwrap().as_str(), "https://auth.example/");
        assert_eq!(origin.join("http://evil/"), Err(InvalidUri));
        assert_eq!(origin.origin(), "https://auth.example");
        assert_eq!(origin.path(), "/");
    }
}
