//! The JWK Set as clients fetch it, written down once for as long as it stays the same.

use std::sync::Arc;

use countersign_protocol::{UnixTime, digest::sha256, strict::base64url};

use crate::keys::loaded::{LoadedKey, jwk_set};

/// The public signing keys of a span of time, as text.
pub struct PublishedKeys {
    /// The JWK Set (RFC 7517 §5) in JSON.
    pub json: String,
    /// An entity tag (RFC 9110 §8.8.3), quotes included. Different texts have different tags.
    pub tag: String,
    of: Arc<Vec<LoadedKey>>,
    from: UnixTime,
    /// When the next key expires.
    until: UnixTime,
}

impl PublishedKeys {
    /// The keys in `loaded` that are published at `now`.
    pub(crate) fn new(loaded: Arc<Vec<LoadedKey>>, now: UnixTime) -> Self {
        let json = jwk_set(&loaded, now).to_string();
        let tag = format!("\"{}\"", base64url::encode(&sha256(&[json.as_bytes()])));
        let ends = loaded.iter().map(|key| key.life.expires_at).filter(|end| *end > now);
        let until = ends.min().unwrap_or(now);
        Self { json, tag, of: loaded, from: now, until }
    }

    /// Whether they are still the published keys in `loaded` at `now`.
    pub(crate) fn are_current(&self, loaded: &Arc<Vec<LoadedKey>>, now: UnixTime) -> bool {
        Arc::ptr_eq(&self.of, loaded) && (self.from..self.until).contains(&now)
    }
}
