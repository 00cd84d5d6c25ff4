//! The newest DPoP nonce of every server (RFC 9449 §8.2, §9).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_protocol::wire;
use http::HeaderName;

use super::message::Response;

const DPOP_NONCE: HeaderName = HeaderName::from_static(wire::header::DPOP_NONCE);

/// A longer nonce is ignored.
const MAX_NONCE: usize = 1024;

/// The nonces of at most this many origins are kept. A client that talks to more asks some of them
/// again.
const MAX_ORIGINS: usize = 64;

/// Nonces by origin. The nonces of a token endpoint and of resources are kept apart, because a
/// server may use different ones.
#[derive(Default)]
pub(super) struct Nonces(Mutex<BTreeMap<String, String>>);

impl Nonces {
    pub(super) fn get(&self, origin: &str) -> Option<String> {
        self.lock().get(origin).cloned()
    }

    /// Takes note of the nonce that came with an answer, and returns it.
    pub(super) fn remember(&self, origin: &str, response: &Response) -> Option<String> {
        let nonce = nonce_of(response)?;
        self.insert(origin, nonce);
        Some(nonce.to_owned())
    }

    pub(super) fn to_list(&self) -> Vec<(String, String)> {
        self.lock().iter().map(|(origin, nonce)| (origin.clone(), nonce.clone())).collect()
    }

    fn insert(&self, origin: &str, nonce: &str) {
        let mut nonces = self.lock();
        if nonces.len() >= MAX_ORIGINS && !nonces.contains_key(origin) {
            nonces.pop_first();
        }
        nonces.insert(origin.to_owned(), nonce.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromIterator<(String, String)> for Nonces {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let nonces = Self::default();
        for (origin, nonce) in pairs.into_iter().filter(|(_, nonce)| is_nonce(nonce)) {
            nonces.insert(&origin, &nonce);
        }
        nonces
    }
}

/// The one well-formed `DPoP-Nonce` of an answer.
fn nonce_of(response: &Response) -> Option<&str> {
    let mut fields = response.headers.get_all(DPOP_NONCE).iter();
    let nonce = fields.next()?.to_str().ok()?;
    (fields.next().is_none() && is_nonce(nonce)).then_some(nonce)
}

/// `1*NQCHAR` (RFC 9449 §8.1), bounded.
fn is_nonce(text: &str) -> bool {
    (1..=MAX_NONCE).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn response(nonces: &[&str]) -> Response {
        let mut headers = HeaderMap::new();
        for nonce in nonces {
            headers.append(DPOP_NONCE, HeaderValue::from_str(nonce).unwrap());
        }
        Response { status: StatusCode::OK, headers, body: Vec::new() }
    }

    #[test]
    fn the_newest_nonce_of_each_origin_counts() {
        let nonces = Nonces::default();
        nonces.remember("https://a", &response(&["1"]));
        nonces.remember("https://b", &response(&["2"]));
        assert_eq!(nonces.remember("https://a", &response(&["3"])), Some("3".to_owned()));
        nonces.remember("https://a", &response(&[]));
        assert_eq!(nonces.get("https://a"), Some("3".to_owned()));
        assert_eq!(nonces.get("https://b"), Some("2".to_owned()));
        assert_eq!(nonces.get("https://c"), None);
    }

    #[test]
    fn malformed_nonces_are_ignored() {
        let long = "x".repeat(MAX_NONCE + 1);
        for bad in [&["a", "b"][..], &["a b"], &["a\"b"], &["a\\b"], &[""], &[&long]] {
            assert_eq!(nonce_of(&response(bad)), None, "{bad:?}");
        }
        let kept: Nonces = [("o".to_owned(), "a\r\nX: y".to_owned())].into_iter().collect();
        assert_eq!(kept.get("o"), None);
    }

    #[test]
    fn the_number_of_origins_is_bounded() {
        let nonces = Nonces::default();
        for i in 0..=MAX_ORIGINS {
            nonces.remember(&format!("https://{i:03}"), &response(&["n"]));
        }
        assert_eq!(nonces.to_list().len(), MAX_ORIGINS);
        assert!(nonces.get(&format!("https://{MAX_ORIGINS:03}")).is_some());
    }
}
