//! Fixed keys and hand-made tokens for the unit tests of this crate.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    UnixTime,
    challenges::sealed::{EpochNonces, NonceSealer},
    envelope::aes_gcm::SealingKey,
    keys::{Algorithm, KeyPolicy, PrivateKey},
    replay::{EpochId, LogEpoch},
    strict::{base64url, hex, json::Object},
};

/// The present of the tests.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// The epoch of the replay logs of the tests.
pub(crate) const EPOCH: LogEpoch =
    LogEpoch { id: EpochId::from_bytes([0xe0; 16]), since: UnixTime::EPOCH };

/// Nonces under a key of 32 times `key`, in that epoch.
pub(crate) fn nonces(key: u8, lifetime: Duration) -> EpochNonces {
    let sealer = NonceSealer::new(SealingKey::from_bytes(&[key; 32]), lifetime);
    EpochNonces::new(sealer, EPOCH)
}

/// The Ed25519 key whose seed (RFC 8032 §5.1.5) is 32 times `seed`.
pub(crate) fn ed25519(seed: u8) -> PrivateKey {
    // RFC 8410 §7: everything before the seed is the same for every key.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([seed; 32]);
    PrivateKey::from_pkcs8_der(&der, &KeyPolicy::default()).unwrap()
}

/// A fixed key for ES256.
pub(crate) fn ec_p256() -> PrivateKey {
    from_pem(include_str!("../vectors/keys/p256.pkcs8.pem"))
}

/// A fixed key for ES384.
pub(crate) fn ec_p384() -> PrivateKey {
    from_pem(include_str!("../vectors/keys/p384.pkcs8.pem"))
}

/// A fixed key for RS256 and PS256.
pub(crate) fn rsa() -> PrivateKey {
    from_pem(include_str!("../vectors/keys/rsa-2048.pkcs8.pem"))
}

/// Each algorithm with a key for it.
pub(crate) fn every_algorithm() -> [(Algorithm, PrivateKey); 5] {
    Algorithm::ALL.map(|algorithm| {
        let key = match algorithm {
            Algorithm::EdDsa => ed25519(1),
            Algorithm::Es256 => ec_p256(),
            Algorithm::Es384 => ec_p384(),
            Algorithm::Ps256 | Algorithm::Rs256 => rsa(),
        };
        (algorithm, key)
    })
}

/// What `json!` makes, as it is read from a token.
pub(crate) fn members(value: &Value) -> Object {
    Object::parse(value.to_string().into()).expect("an object")
}

/// The members of what `json!` makes.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}

/// A token with exactly these bytes as header and payload, valid or not, and a good signature.
pub(crate) fn sign_bytes(key: &PrivateKey, header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    sign_input(key, &input)
}

/// Any `input`, with a good signature.
pub(crate) fn sign_input(key: &PrivateKey, input: &str) -> String {
    let signature = key.sign(key.algorithm(), input.as_bytes()).unwrap();
    format!("{input}.{}", base64url::encode(&signature))
}

/// The bytes that hexadecimal digits say.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| hex::decode::<1>(str::from_utf8(pair).unwrap()).unwrap()[0]).collect()
}

fn from_pem(text: &str) -> PrivateKey {
    PrivateKey::from_pem(text, &KeyPolicy::default()).unwrap()
}
