//! Keys under attack. What concerns all readers is here, the JWK reader's in `jwk`.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::*;
use crate::strict::{base64url, pem};

mod jwk;
mod properties;

/// One key of each type, made once: RSA keys take long.
static KEYS: LazyLock<Vec<PrivateKey>> = LazyLock::new(|| {
    [NewKey::Ed25519, NewKey::EcP256, NewKey::EcP384, NewKey::Rsa2048]
        .into_iter()
        .map(|kind| PrivateKey::generate(kind).unwrap())
        .collect()
});

fn jwk_of(key_type: KeyType) -> Map<String, Value> {
    let key = KEYS.iter().find(|key| key.public_key().key_type() == key_type);
    key.unwrap().public_key().to_jwk()
}

fn parse(jwk: &Map<String, Value>) -> Result<PublicKey, KeyError> {
    PublicKey::from_jwk(jwk, &KeyPolicy::default())
}

/// The error for this kind of key after `member` is set to `value`.
#[track_caller]
fn refused(key_type: KeyType, member: &str, value: impl Into<Value>) -> KeyError {
    let mut jwk = jwk_of(key_type);
    jwk.insert(member.to_owned(), value.into());
    let error = parse(&jwk).unwrap_err();
    // The text alone is at fault, or only the numbers are.
    if let Err(without_parsing) = PresentedJwk::read(&jwk) {
        assert_eq!(without_parsing, error);
    }
    error
}

const ALL_TYPES: [KeyType; 4] = [KeyType::Ed25519, KeyType::EcP256, KeyType::EcP384, KeyType::Rsa];

#[test]
fn signatures_of_other_lengths() {
    for key in KEYS.iter() {
        for algorithm in key.public_key().algorithms() {
            let signature = key.sign(*algorithm, b"m").unwrap();
            for wrong in [
                &[][..],
                &signature[1..],
                &signature[..signature.len() - 1],
                &[&[0], signature.as_slice()].concat(),
                &[signature.as_slice(), &[0]].concat(),
                &vec![0; signature.len()],
                &vec![0xff; signature.len()],
            ] {
                assert_eq!(key.public_key().verify(*algorithm, b"m", wrong), Err(BadSignature));
            }
        }
    }
}

#[test]
fn oversized_text_is_not_looked_at() {
    let policy = KeyPolicy::default();
    let long = " ".repeat(MAX_KEY_TEXT + 1);
    assert_eq!(PublicKey::parse(&long, &policy).unwrap_err(), KeyError::TooLong);
    assert_eq!(PrivateKey::from_pem(&long, &policy).err(), Some(KeyError::TooLong));
    let fits = format!("{:>MAX_KEY_TEXT$}", KEYS[0].public_key().to_spki_pem());
    assert!(PublicKey::parse(&fits, &policy).is_ok());
}

#[test]
fn ambiguous_json_jwk_refused() {
    let policy = KeyPolicy::default();
    let text = Value::Object(jwk_of(KeyType::Ed25519)).to_string();
    for wrong in [
        text.replace("\"kty\"", "\"kty\":\"RSA\",\"kty\""),
        text.replace("\"kty\"", "\"k\\u0074y\":\"RSA\",\"kty\""),
        format!("{text}{text}"),
        format!("{text}\0"),
    ] {
        let error = PublicKey::parse(&wrong, &policy).unwrap_err();
        assert!(matches!(error, KeyError::Json(_)), "{error:?}");
    }
    let set = format!("{{\"keys\":[{text}]}}");
    assert_eq!(PublicKey::parse(&set, &policy).unwrap_err(), KeyError::JwkSet);
    let error = PublicKey::parse(&format!("[{text}]"), &policy).unwrap_err();
    assert_eq!(error, KeyError::Unrecognized);
    let error = PublicKey::parse(&format!("\u{feff}{text}"), &policy).unwrap_err();
    assert_eq!(error, KeyError::Json(crate::strict::json::JsonError::ByteOrderMark));
}

#[test]
fn pkcs8_whose_halves_do_not_match() {
    use aws_lc_rs::signature::Ed25519KeyPair;

    let policy = KeyPolicy::default();
    let v2 = Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
    let v2 = v2.as_ref();
    assert!(PrivateKey::from_pkcs8_der(v2, &policy).is_ok());
    let mut changed = v2.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(
        PrivateKey::from_pkcs8_der(&changed, &policy).err(),
        Some(KeyError::InvalidPrivateKey)
    );
    // The last bytes of an EC key are its public half, those of an RSA key its CRT coefficient.
    for key in &KEYS[1..] {
        let mut changed = key.to_pkcs8_der();
        *changed.last_mut().unwrap() ^= 1;
        let error = PrivateKey::from_pkcs8_der(&changed, &policy).err();
        assert_eq!(error, Some(KeyError::InvalidPrivateKey));
    }
}

#[test]
fn names_are_case_sensitive_and_complete() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        assert_eq!(Algorithm::from_name(&algorithm.name().to_lowercase()), None);
        assert_eq!(algorithm.to_string(), algorithm.name());
    }
    for name in ["none", "None", "nOnE", "HS256", "ES256K", "RS1", "", " ES256", "EDDSA"] {
        assert_eq!(Algorithm::from_name(name), None);
    }
}
