//! Which web pages of other origins may ask and read the answers.

use std::time::Duration;

use countersign_protocol::wire;
use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::http::request_id::X_REQUEST_ID;

#[cfg(test)]
mod tests;

/// The origins whose pages may read the API's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Only the server's own.
    #[default]
    SameOrigin,
    /// These.
    Listed(Vec<HeaderValue>),
    /// All. No page gets credentials by that, because the server uses no cookies. But any page may
    /// then write from the networks of its visitors (`web_pages.rs`).
    Any,
}

/// A configured origin that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// It is not `scheme://host` or `scheme://host:port` as browsers send it.
    #[error(
        "{0:?} is not an origin such as https://app.example.org: lower case, without a path or \
         the scheme's own port"
    )]
    Malformed(String),
    /// `*` makes every other entry meaningless.
    #[error("\"*\" allows every origin, so it must be the only one")]
    AnyAmongOthers,
}

impl CorsOrigins {
    /// From configuration: nothing, `*` alone, or origins (RFC 6454 §6.2).
    ///
    /// # Errors
    ///
    /// The first entry that is not an origin, and `*` among others.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, InvalidOrigin> {
        let entries: Vec<&str> = entries.iter().map(AsRef::as_ref).collect();
        match entries[..] {
            [] => Ok(Self::SameOrigin),
            ["*"] => Ok(Self::Any),
            _ if entries.contains(&"*") => Err(InvalidOrigin::AnyAmongOthers),
            _ => entries.into_iter().map(parse_origin).collect::<Result<_, _>>().map(Self::Listed),
        }
    }

    /// Whether pages of `origin`, as a browser names it, are among them.
    pub(crate) fn contain(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::SameOrigin => false,
            Self::Listed(origins) => origins.contains(origin),
            Self::Any => true,
        }
    }
}

/// Allows cross-origin requests from `origins`, and answers preflights; nothing when there are none.
pub(crate) fn cors(origins: &CorsOrigins) -> Option<CorsLayer> {
    let allowed = match origins {
        CorsOrigins::SameOrigin => return None,
        CorsOrigins::Listed(origins) => AllowOrigin::list(origins.iter().cloned()),
        CorsOrigins::Any => AllowOrigin::any(),
    };
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let cors = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            DPOP,
            IF_MATCH,
            IF_NONE_MATCH,
            PASSKEY_ASSERTION,
            PREFER,
            SIGNED_MESSAGE,
        ])
        .expose_headers([
            ALLOW,
            DATE,
            DPOP_NONCE,
            ETAG,
            PREFERENCE_APPLIED,
            RETRY_AFTER,
            SESSION_NONCE,
            WWW_AUTHENTICATE,
            X_REQUEST_ID,
        ])
        .max_age(PREFLIGHT_AGE);
    Some(cors)
}

const DPOP: HeaderName = HeaderName::from_static(wire::header::DPOP);
const DPOP_NONCE: HeaderName = HeaderName::from_static(wire::header::DPOP_NONCE);
const PASSKEY_ASSERTION: HeaderName = HeaderName::from_static(wire::header::PASSKEY_ASSERTION);
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const SIGNED_MESSAGE: HeaderName = HeaderName::from_static(wire::header::SIGNED_MESSAGE);
const SESSION_NONCE: HeaderName = HeaderName::from_static(wire::header::SESSION_NONCE);

/// How long a browser may remember a preflight's answer.
const PREFLIGHT_AGE: Duration = Duration::from_mins(10);

fn parse_origin(entry: &str) -> Result<HeaderValue, InvalidOrigin> {
    let malformed = || InvalidOrigin::Malformed(entry.to_owned());
    let uri: Uri = entry.parse().map_err(|_| malformed())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(malformed());
    };
    // An origin as browsers send it has no path, user, capital letter, default port or wildcard;
    // any other text would never match.
    let canonical = format!("{scheme}://{authority}").to_ascii_lowercase();
    let default_port =
        matches!((scheme, uri.port_u16()), ("http", Some(80)) | ("https", Some(443)));
    if entry != canonical || default_port || authority.as_str().contains(['@', '*']) {
        return Err(malformed());
    }
    HeaderValue::from_str(entry).map_err(|_| malformed())
}
