//! The answer with the server's public keys, which resource servers fetch again and again.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
use countersign_authority::keys::published::PublishedKeys;
use http::HeaderValue;

/// The answer, which is built once for as long as the keys stay the same.
#[derive(Default)]
pub(crate) struct JwksAnswer(ArcSwapOption<Written>);

pub(crate) struct Written {
    keys: Arc<PublishedKeys>,
    pub(crate) json: Bytes,
    pub(crate) tag: HeaderValue,
    pub(crate) caching: HeaderValue,
}

impl JwksAnswer {
    /// The answer with `keys`, which caches may keep for `max_age` seconds.
    pub(crate) fn current(
        &self,
        keys: &Arc<PublishedKeys>,
        max_age: impl FnOnce() -> u64,
    ) -> Arc<Written> {
        let known = self.0.load_full().filter(|known| Arc::ptr_eq(&known.keys, keys));
        known.unwrap_or_else(|| {
            let written = Arc::new(Written::new(Arc::clone(keys), max_age()));
            self.0.store(Some(Arc::clone(&written)));
            written
        })
    }
}

impl Written {
    fn new(keys: Arc<PublishedKeys>, max_age: u64) -> Self {
        let value =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        Self {
            json: keys.json.clone().into(),
            tag: value(&keys.tag),
            caching: value(&format!("public, max-age={max_age}")),
            keys,
        }
    }
}
