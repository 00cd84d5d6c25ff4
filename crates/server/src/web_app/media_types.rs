//! Media types of the files.

use http::HeaderValue;

/// The media type of the file `name`, and whether compressing it is worth the work. `None` for a file
/// of a kind that the app has no use for.
pub(super) fn media_type(name: &str) -> Option<(HeaderValue, bool)> {
    let own_name = name.rsplit('/').next().unwrap_or(name);
    let (text, is_compressible) = match own_name.rsplit_once('.').map(|(_, kind)| kind) {
        None if own_name.starts_with("LICENSE") => ("text/plain; charset=utf-8", true),
        Some("css") => ("text/css; charset=utf-8", true),
        Some("html") => ("text/html; charset=utf-8", true),
        Some("js" | "mjs") => ("text/javascript; charset=utf-8", true),
        Some("png") => ("image/png", false),
        Some("svg") => ("image/svg+xml", true),
        Some("txt" | "md") => ("text/plain; charset=utf-8", true),
        Some("wasm") => ("application/wasm", true),
        Some("webmanifest") => ("application/manifest+json", true),
        _ => return None,
    };
    Some((HeaderValue::from_static(text), is_compressible))
}
