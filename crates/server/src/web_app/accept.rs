//! What a browser would like to have: `Accept-Language` and `Accept-Encoding` (RFC 9110 §12.5).

use http::{
    HeaderMap,
    header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderName},
};

/// At most so many entries of a list are read. Browsers send about ten.
const MOST_ENTRIES: usize = 64;

/// The index of the language in `available` that the client likes best. The first one where it likes
/// none, or says nothing.
///
/// A range of languages matches its own tag and the tags that it is the beginning of; the tag of a
/// regional language matches the language itself too (RFC 4647 §3.4: "de-AT" finds "de").
pub(crate) fn preferred(headers: &HeaderMap, available: &[&str]) -> usize {
    let mut best = (0, 0);
    for (range, quality) in entries(headers, ACCEPT_LANGUAGE) {
        let found = available.iter().position(|tag| range == "*" || matches(range, tag));
        // Of two that are liked equally the first one counts.
        if let Some(index) = found.filter(|_| quality > best.1) {
            best = (index, quality);
        }
    }
    best.0
}

/// Whether the client takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let gzip =
        |name: &str| name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip");
    entries(headers, ACCEPT_ENCODING).any(|(name, quality)| gzip(name) && quality > 0)
}

/// The entries of a list with qualities, in thousandths.
fn entries(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (&str, u16)> {
    let fields = headers.get_all(name).into_iter().filter_map(|field| field.to_str().ok());
    let entries = fields.flat_map(|field| field.split(','));
    entries.take(MOST_ENTRIES).filter_map(|entry| {
        let (value, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let value = value.trim();
        (!value.is_empty()).then_some(())?;
        let quality = parameters.split(';').find_map(|parameter| {
            let (name, number) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| thousandths(number.trim()))
        });
        Some((value, quality.unwrap_or(Some(1000))?))
    })
}

/// A quality value (RFC 9110 §12.4.2) in thousandths; `None` where it is none.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then_some(())?;
    match whole {
        "0" => format!("{fraction:0<3}").parse().ok(),
        "1" => fraction.bytes().all(|digit| digit == b'0').then_some(1000),
        _ => None,
    }
}

fn matches(range: &str, tag: &str) -> bool {
    let is_beginning = |short: &str, long: &str| {
        long.get(..short.len()).is_some_and(|start| start.eq_ignore_ascii_case(short))
            && matches!(long.as_bytes().get(short.len()), None | Some(b'-'))
    };
    is_beginning(range, tag) || is_beginning(tag, range)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn language(header: &'static str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(header));
        let available = ["en", "de", "pt-BR"];
        available[preferred(&headers, &available)]
    }

    #[test]
    fn the_language_is_the_one_that_is_liked_best() {
        for (header, expected) in [
            ("", "en"),
            ("de", "de"),
            ("DE-at", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("en-GB,en;q=0.9,de;q=0.8", "en"),
            ("fr, de;q=0.5, en;q=0.4", "de"),
            ("en;q=0.1, de;q=0.101", "de"),
            ("fr", "en"),
            ("*", "en"),
            ("fr,*;q=0.1", "en"),
            ("de;q=0", "en"),
            ("de;q=0.0,en;q=0", "en"),
            ("pt", "pt-BR"),
            ("den", "en"),
            ("d", "en"),
            (" de ; q = 1.000 ", "de"),
            ("de;q=2, en;q=0.1", "en"),
            ("de;q=0.1234", "en"),
            ("de;q=x", "en"),
            (",,;q=1,de", "de"),
            ("de,en", "de"),
        ] {
            assert_eq!(language(header), expected, "{header:?}");
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (header, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000, br", false),
            ("br", false),
            ("", false),
            ("*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(header));
            assert_eq!(accepts_gzip(&headers), takes, "{header:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_list_without_end_is_not_read_to_its_end() {
        let mut headers = HeaderMap::new();
        let long = format!("{}de", "fr,".repeat(MOST_ENTRIES));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::try_from(long).unwrap());
        assert_eq!(preferred(&headers, &["en", "de"]), 0);
    }
}
