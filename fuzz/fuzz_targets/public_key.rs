//! A key is the same key in every form: JWK, SPKI PEM and SPKI DER agree on its thumbprint.
#![no_main]

use countersign_protocol::keys::{KeyPolicy, PublicKey};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let policy = KeyPolicy::default();
    if let Ok(key) = PublicKey::parse(text, &policy) {
        let same = |other: Result<PublicKey, _>| {
            other.is_ok_and(|other| other.thumbprint() == key.thumbprint())
        };
        assert!(same(PublicKey::from_jwk(&key.to_jwk(), &policy)));
        assert!(same(PublicKey::from_spki_der(&key.to_spki_der(), &policy)));
        assert!(same(PublicKey::parse(&key.to_spki_pem(), &policy)));
    }
});
