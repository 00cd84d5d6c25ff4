//! A private key that was read from a file can be stored, read again, and still has the same public half.
#![no_main]

use countersign_protocol::keys::{KeyPolicy, PrivateKey};

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let policy = KeyPolicy::default();
    if let Ok(key) = PrivateKey::from_file(content, &policy) {
        let again = PrivateKey::from_pkcs8_der(&key.to_pkcs8_der(), &policy);
        assert!(again.is_ok_and(|again| again.public_key().thumbprint() == key.public_key().thumbprint()));
    }
});
