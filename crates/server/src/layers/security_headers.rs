//! Headers that tell browsers what they may do with an answer.

use axum::response::Response;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

#[cfg(test)]
mod tests;

/// `response` with the security headers.
///
/// All answers get `X-Content-Type-Options` and `Referrer-Policy`; HTML gets a
/// `Content-Security-Policy` that allows nothing but the server's own files, unless the handler
/// set one, and `X-Frame-Options`. With `https`, which is the issuer's scheme, all get
/// `Strict-Transport-Security` (RFC 6797) for one year, without the subdomains: those are not the
/// server's.
pub(crate) fn add(mut response: Response, https: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if is_html(headers) {
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(PAGE_POLICY);
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    if https {
        let one_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, one_year);
    }
    response
}

const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

fn is_html(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    media_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
}
