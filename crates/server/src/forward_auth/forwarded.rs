//! Reads the request that a proxy asks about from the proxy's description.
//!
//! Proxies describe a request in one of three ways, and exactly one of them must be used:
//!
//! - `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri` (Caddy, Traefik);
//! - `X-Original-Method` and `X-Original-URL`, an absolute URL, or `X-Original-URI`, a path (nginx);
//! - its own method, path and authority, the path behind a prefix (Envoy).
//!
//! A client can add any of these headers to its own request, and proxies pass on what they do not
//! overwrite. So a description is never put together from two ways: if there are traces of two, the
//! request is refused.

use std::fmt;

use countersign_protocol::{proofs::target_uri::TargetUri, wire};
use http::{HeaderMap, Method, request::Parts, uri::PathAndQuery};

#[cfg(test)]
mod tests;

/// Whether a request for `path` is a proxy's question.
pub(crate) fn is_asked_at(path: &str) -> bool {
    path.strip_prefix(wire::path::FORWARD_AUTH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A request that a proxy asks about. It is as the proxy describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardedRequest {
    /// The method of the client's request.
    pub(crate) method: Method,
    /// Its path and query, as the client sent them.
    pub(crate) path: PathAndQuery,
    /// Where the client sent it.
    pub(crate) place: Place,
}

/// Where a client sent its request, as the proxy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To this origin.
    Origin(TargetUri),
    /// To this host and port, by a scheme that the proxy does not say.
    Authority(String),
    /// The proxy does not say.
    Unsaid,
}

/// Why a proxy's question is refused: the described request is unclear, or the proxy may not ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ForwardedError {
    /// The request is told in several ways.
    #[error(
        "the original request is described in more than one way: the proxy must remove the \
         X-Forwarded-* or X-Original-* headers that it does not set itself"
    )]
    Contradiction,
    /// A header, which may be there once, is a list of what several proxies wrote.
    #[error(
        "the proxy's {0} is {1}, a list: the proxy that asks must overwrite what those before it \
         wrote, and send one value"
    )]
    List(&'static str, Shown),
    /// A header does not have the form that it must have.
    #[error("the proxy's {0} is malformed: {1}")]
    Malformed(&'static str, Shown),
    /// A header is missing.
    #[error("the proxy does not send {0}")]
    Missing(&'static str),
    /// The proxy does not say where the request went, and there are several places.
    #[error(
        "several origins are protected, and the proxy does not say which of them is meant: it must \
         send X-Forwarded-Proto and X-Forwarded-Host, or X-Original-URL"
    )]
    OriginUnsaid,
    /// The query of the endpoint neither requires something nor is that of the client's request.
    #[error(
        "the query of the endpoint may have scope=SCOPE, with one scope, acr=phr and \
         max_age=SECONDS, each once, and not {0}: if that is the query of the client's request, the proxy must not send it along (Caddy: `uri \
         /forward-auth?`, with the question mark)"
    )]
    Query(Shown),
    /// A header is there twice.
    #[error("there are several {0}: the proxy must overwrite what a client sends")]
    Repeated(&'static str),
    /// The request went to a place that is not protected.
    #[error("{0} is none of the protected origins (forward_auth.origins)")]
    UnknownOrigin(String),
    /// The question is not from a trusted proxy.
    #[error("only the proxies in trusted_proxies may ask")]
    UntrustedPeer,
}

impl ForwardedError {
    /// A short stable name of the reason, for the metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::UntrustedPeer => "untrusted-proxy",
            Self::Contradiction
            | Self::List(..)
            | Self::Malformed(..)
            | Self::Missing(_)
            | Self::OriginUnsaid
            | Self::Query(_)
            | Self::Repeated(_)
            | Self::UnknownOrigin(_) => "forwarded",
        }
    }
}

/// A peer's text, made safe for messages and the log: quoted, escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    /// How many bytes of it are shown.
    const MOST: usize = 80;

    pub(crate) fn new(sent: &[u8]) -> Self {
        let end = if sent.len() > Self::MOST { "…" } else { "" };
        Self(format!("\"{}{end}\"", sent[..sent.len().min(Self::MOST)].escape_ascii()))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const FORWARDED_METHOD: &str = "X-Forwarded-Method";
const FORWARDED_PROTO: &str = "X-Forwarded-Proto";
const FORWARDED_HOST: &str = "X-Forwarded-Host";
const FORWARDED_URI: &str = "X-Forwarded-Uri";
const ORIGINAL_METHOD: &str = "X-Original-Method";
const ORIGINAL_URL: &str = "X-Original-URL";
const ORIGINAL_URI: &str = "X-Original-URI";
const HOST: &str = "Host";

impl ForwardedRequest {
    /// The request that `headers` describe.
    ///
    /// # Errors
    /// When it is not described, or not in exactly one way.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, ForwardedError> {
        match (is_told_as_forwarded(headers), is_told_as_original(headers)) {
            (true, true) => Err(ForwardedError::Contradiction),
            (false, true) => Self::from_original(headers),
            // Most proxies use this way, so missing headers are named in its terms.
            (true | false, false) => Self::from_forwarded(headers),
        }
    }

    /// The request of a proxy that asks with the client's own method and authority, and with the
    /// client's path behind `prefix`.
    ///
    /// # Errors
    /// When the request is described in another way too, or goes to no single host.
    pub(crate) fn from_request(asked: &Parts, prefix: &str) -> Result<Self, ForwardedError> {
        let Parts { method, uri, headers, .. } = asked;
        if is_told_as_forwarded(headers) || is_told_as_original(headers) {
            return Err(ForwardedError::Contradiction);
        }
        let authority = match (optional(headers, HOST)?, uri.authority()) {
            (Some(host), Some(authority)) if host != authority.as_str() => {
                return Err(ForwardedError::Contradiction);
            }
            (Some(host), _) => host,
            (None, Some(authority)) => authority.as_str(),
            (None, None) => return Err(ForwardedError::Missing(HOST)),
        };
        let path = uri.path_and_query().and_then(|path| path.as_str().strip_prefix(prefix));
        let path = path.and_then(parse_path).ok_or_else(|| malformed("path", uri.path()))?;
        let place = Place::Authority(authority.to_owned());
        Ok(Self { method: method.clone(), path, place })
    }

    fn from_forwarded(headers: &HeaderMap) -> Result<Self, ForwardedError> {
        let method = method(headers, FORWARDED_METHOD)?;
        let uri = required(headers, FORWARDED_URI)?;
        let path = parse_path(uri).ok_or_else(|| malformed(FORWARDED_URI, uri))?;
        let proto = optional(headers, FORWARDED_PROTO)?;
        let host = optional(headers, FORWARDED_HOST)?;
        let place = match (proto, host) {
            (Some(proto), Some(host)) => Place::Origin(origin(proto, host)?),
            (None, None) => Place::Unsaid,
            (Some(_), None) => return Err(ForwardedError::Missing(FORWARDED_HOST)),
            (None, Some(_)) => return Err(ForwardedError::Missing(FORWARDED_PROTO)),
        };
        Ok(Self { method, path, place })
    }

    fn from_original(headers: &HeaderMap) -> Result<Self, ForwardedError> {
        let method = method(headers, ORIGINAL_METHOD)?;
        let url = optional(headers, ORIGINAL_URL)?;
        let path = optional(headers, ORIGINAL_URI)?;
        match (url, path) {
            (Some(_), Some(_)) => Err(ForwardedError::Contradiction),
            (None, None) => Err(ForwardedError::Missing(ORIGINAL_URL)),
            (None, Some(path)) => {
                let path = parse_path(path).ok_or_else(|| malformed(ORIGINAL_URI, path))?;
                Ok(Self { method, path, place: Place::Unsaid })
            }
            (Some(url), None) => {
                let malformed = || malformed(ORIGINAL_URL, url);
                let origin = TargetUri::parse(url).map_err(|_| malformed())?;
                let path = path_of(url).ok_or_else(malformed)?;
                Ok(Self { method, path, place: Place::Origin(origin) })
            }
        }
    }
}

/// `X-Forwarded-Proto` and `-Host` are no traces: everything that forwards at all sends them.
fn is_told_as_forwarded(headers: &HeaderMap) -> bool {
    [FORWARDED_METHOD, FORWARDED_URI].iter().any(|name| headers.contains_key(*name))
}

fn is_told_as_original(headers: &HeaderMap) -> bool {
    [ORIGINAL_METHOD, ORIGINAL_URL, ORIGINAL_URI].iter().any(|name| headers.contains_key(*name))
}

fn optional<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<Option<&'h str>, ForwardedError> {
    let mut fields = headers.get_all(name).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(ForwardedError::Repeated(name));
    }
    let not_text = |_| ForwardedError::Malformed(name, Shown::new(field.as_bytes()));
    field.to_str().map(Some).map_err(not_text)
}

fn required<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, ForwardedError> {
    optional(headers, name)?.ok_or(ForwardedError::Missing(name))
}

fn method(headers: &HeaderMap, name: &'static str) -> Result<Method, ForwardedError> {
    let text = required(headers, name)?;
    Method::from_bytes(text.as_bytes()).map_err(|_| malformed(name, text))
}

/// The origin of which a proxy names scheme and authority. Neither may smuggle in a path. A
/// WebSocket begins with a request of HTTP, by which it is known (RFC 6455 §1.3).
fn origin(proto: &str, host: &str) -> Result<TargetUri, ForwardedError> {
    let scheme = match proto {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return Err(malformed(FORWARDED_PROTO, proto)),
    };
    parse_authority(scheme, host).ok_or_else(|| malformed(FORWARDED_HOST, host))
}

/// The error for a header that cannot be read. Neither schemes and hosts nor methods have commas.
fn malformed(name: &'static str, text: &str) -> ForwardedError {
    let shown = Shown::new(text.as_bytes());
    let is_list =
        text.contains(',') && ![FORWARDED_URI, ORIGINAL_URI, ORIGINAL_URL].contains(&name);
    if is_list { ForwardedError::List(name, shown) } else { ForwardedError::Malformed(name, shown) }
}

/// The origin with this scheme at `authority`, which must be nothing else than host and port.
pub(crate) fn parse_authority(scheme: &str, authority: &str) -> Option<TargetUri> {
    let is_bare = !authority.contains(['/', '?', '#']);
    is_bare.then(|| TargetUri::parse(&format!("{scheme}://{authority}")).ok()).flatten()
}

/// A path with or without a query. A fragment is never sent (RFC 9110 §7.1).
fn parse_path(text: &str) -> Option<PathAndQuery> {
    let is_plain = text.starts_with('/') && !text.contains('#');
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Path and query of an absolute URL, as they stand there.
fn path_of(url: &str) -> Option<PathAndQuery> {
    let (_, rest) = url.split_once("://")?;
    let path = &rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..];
    if path.starts_with('/') { parse_path(path) } else { parse_path(&format!("/{path}")) }
}
