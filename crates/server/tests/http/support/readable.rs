//! The headers that clients read, as `docs/http-api.md` lists them: web pages of other origins may read
//! the same.

use std::{collections::BTreeSet, sync::LazyLock};

use http::{HeaderMap, HeaderName};

const DOCUMENT: &str = include_str!("../../../../../docs/http-api.md");

/// The headers that pages may read whatever the server says (Fetch §2.2.6, "CORS-safelisted").
const SAFELISTED: [&str; 7] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
];

/// Those that are for browsers, caches and connections, and not for the code of a client.
const NOT_FOR_CODE: [&str; 14] = [
    "clear-site-data",
    "connection",
    "content-encoding",
    "content-security-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "integrity-policy",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
    "x-frame-options",
];

/// The headers in the row `row` of the table for web pages, in lower case.
pub(crate) fn listed_for_pages(row: &str) -> BTreeSet<String> {
    let start = format!("| {row} | ");
    let row = DOCUMENT.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    let row = row.split(", and what pages may always").next().unwrap();
    row.split('`').skip(1).step_by(2).map(str::to_ascii_lowercase).collect()
}

/// Sees that an answer has no header that clients would read and pages could not.
pub(crate) fn check_headers(headers: &HeaderMap) {
    static LISTED: LazyLock<BTreeSet<String>> = LazyLock::new(|| listed_for_pages("may be read"));
    let is_readable = |name: &HeaderName| {
        let name = name.as_str();
        LISTED.contains(name) || SAFELISTED.contains(&name) || NOT_FOR_CODE.contains(&name)
    };
    // The answers to proxies are not for pages, and preflights are for browsers.
    let is_for_others = |name: &HeaderName| {
        name.as_str().starts_with("remote-") || name.as_str().starts_with("access-control-")
    };
    for name in headers.keys() {
        assert!(
            is_readable(name) || is_for_others(name),
            "no page may read {name}: docs/http-api.md and layers/cors.rs list what they may"
        );
    }
}
