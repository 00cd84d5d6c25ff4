//! The program at the other end, by what it says about itself.

use std::fmt;

/// The text of a `User-Agent` header field (RFC 9110 §10.1.5), for people to read: at most 200
/// characters of printable ASCII. Nobody has proven any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgent(String);

impl UserAgent {
    /// The longest text, in characters. The rest is cut off.
    pub const MAX_CHARS: usize = 200;

    /// The value of a header field, without what is not printable. `None` when nothing is left.
    pub fn of(value: &[u8]) -> Option<Self> {
        let printable = value.iter().filter(|byte| matches!(byte, b' '..=b'~'));
        let text: String = printable.map(|byte| char::from(*byte)).take(Self::MAX_CHARS).collect();
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Browser and system in words, such as `Firefox on Windows`, where both are among those that
    /// most people use.
    pub fn in_words(&self) -> Option<String> {
        let found = |known: &[(&str, &'static str)]| {
            known.iter().find(|(token, _)| self.0.contains(token)).map(|(_, name)| *name)
        };
        Some(format!("{} on {}", found(&BROWSERS)?, found(&SYSTEMS)?))
    }
}

/// Parts of the texts of browsers. Most browsers name others as well, so the order counts.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Parts of the same texts that name the system. Android names Linux as well, and an iPhone macOS.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &[u8]) -> Option<String> {
        UserAgent::of(value).map(|agent| agent.as_str().to_owned())
    }

    #[test]
    fn a_user_agent_is_bounded_printable_ascii_and_never_refused() {
        assert_eq!(text(b"curl/8.5.0").as_deref(), Some("curl/8.5.0"));
        assert_eq!(text(b" a\x1b[31mb\r\n\xc3\xbc\x7f ").as_deref(), Some("a[31mb"));
        assert_eq!(text(b""), None);
        assert_eq!(text(b"\xff\x00 "), None);
        assert_eq!(
            text("x".repeat(100_000).as_bytes()).map(|text| text.len()),
            Some(UserAgent::MAX_CHARS)
        );
    }

    #[test]
    fn what_most_people_use_has_words() {
        let words = |value: &str| UserAgent::of(value.as_bytes()).unwrap().in_words();
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let cases = [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
                "Firefox on Linux",
            ),
            (
                &format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} Chrome/156.0.0.0 Safari/537.36"),
                "Chrome on Linux",
            ),
            (
                &format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/156.0.0.0 Safari/537.36 Edg/156.0"
                ),
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 26_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.4 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Android 16; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0",
                "Firefox on Android",
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(words(value).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(words("curl/8.5.0"), None);
        assert_eq!(words("python-httpx/0.28 (Linux)"), None);
    }
}
