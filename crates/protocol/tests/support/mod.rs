//! What the tests in this directory share.

use countersign_protocol::keys::{KeyPolicy, PrivateKey};
use serde_json::{Map, Value};

/// The Ed25519 key whose seed (RFC 8032 §5.1.5) is 32 times `seed`.
pub(crate) fn ed25519(seed: u8) -> PrivateKey {
    // RFC 8410 §7: everything before the seed is the same for every key.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([seed; 32]);
    PrivateKey::from_pkcs8_der(&der, &KeyPolicy::default()).unwrap()
}

/// The members of what `json!` makes.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}
