//! Entity tags (RFC 9110 §8.8.3).

use http::{HeaderMap, header::IF_NONE_MATCH};

/// Whether the client has the answer with the entity tag `tag`, by the weak comparison that
/// `If-None-Match` uses (RFC 9110 §13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|known| known == "*" || opaque(known) == opaque(tag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}
