//! Keys for tests. Their private halves are public knowledge.

use countersign_protocol::keys::{KeyPolicy, PrivateKey, PublicKey};

/// The public half of an RSA key that only a lenient policy lets in, SPKI in PEM.
pub const RSA_1024_PUBLIC_PEM: &str = include_str!("../keys/rsa-1024.pub.pem");
/// The public half of an RSA key that is a bit short of 2048, SPKI in PEM.
pub const RSA_2047_PUBLIC_PEM: &str = include_str!("../keys/rsa-2047.pub.pem");
/// A key for RS256 and PS256, PKCS#8 in PEM.
pub const RSA_2048_PEM: &str = include_str!("../keys/rsa-2048-a.pem");
/// Another key for RS256 and PS256.
pub const OTHER_RSA_2048_PEM: &str = include_str!("../keys/rsa-2048-b.pem");
/// A larger key for RS256 and PS256.
pub const RSA_3072_PEM: &str = include_str!("../keys/rsa-3072.pem");
/// A key for ES256, PKCS#8 in PEM.
pub const EC_P256_PEM: &str = include_str!("../keys/p256-a.pem");
/// Another key for ES256.
pub const OTHER_EC_P256_PEM: &str = include_str!("../keys/p256-b.pem");
/// A key for ES384, PKCS#8 in PEM.
pub const EC_P384_PEM: &str = include_str!("../keys/p384.pem");

/// The Ed25519 key of that number: as many different keys as a test needs, cheaply.
pub fn ed25519(number: u64) -> PrivateKey {
    // RFC 8410 §7: what stands before the 32 secret bytes is the same in every key.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([0x5e; 24]);
    der.extend(number.to_be_bytes());
    PrivateKey::from_pkcs8_der(&der, &KeyPolicy::default()).unwrap()
}

/// The public half of [`ed25519`].
pub fn ed25519_public(number: u64) -> PublicKey {
    ed25519(number).public_key().clone()
}

/// The key in one of this module's private PEM texts.
pub fn from_pem(text: &str) -> PrivateKey {
    PrivateKey::from_pem(text, &KeyPolicy::default()).unwrap()
}

/// The key in [`RSA_1024_PUBLIC_PEM`].
pub fn rsa_1024_public() -> PublicKey {
    let lenient = KeyPolicy { min_rsa_bits: 1024, ..KeyPolicy::default() };
    PublicKey::parse(RSA_1024_PUBLIC_PEM, &lenient).unwrap()
}

/// A key of every kind that an account may register.
pub fn one_of_each_kind() -> Vec<PrivateKey> {
    let mut keys = vec![ed25519(0)];
    keys.extend([EC_P256_PEM, EC_P384_PEM, RSA_2048_PEM, RSA_3072_PEM].map(from_pem));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_one_of_its_own() {
        let mut keys = one_of_each_kind();
        keys.push(ed25519(1));
        keys.extend([OTHER_RSA_2048_PEM, OTHER_EC_P256_PEM].map(from_pem));
        let mut thumbprints: Vec<_> =
            keys.iter().map(|key| key.public_key().thumbprint()).collect();
        thumbprints.push(rsa_1024_public().thumbprint());
        thumbprints.sort();
        thumbprints.dedup();
        assert_eq!(thumbprints.len(), keys.len() + 1);
    }
}
