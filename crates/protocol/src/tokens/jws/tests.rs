//! RFC 7515, and the attacks on it that RFC 8725 and later advisories list.

mod algorithms;
mod encoding;
mod keys;
mod objects;

use serde_json::json;

use super::*;
use crate::test_support::{ec_p384, ed25519, every_algorithm, object, sign_bytes};

const PAYLOAD: &[u8] = br#"{"sub":"alice"}"#;

/// What the parser says about a token with this header, well signed.
fn refusal_of_header(header: &str) -> Option<JwsError> {
    Jws::parse(&sign_bytes(&ed25519(1), header.as_bytes(), PAYLOAD)).err()
}

/// The same for a payload.
fn refusal_of_payload(payload: &[u8]) -> Option<JwsError> {
    Jws::parse(&sign_bytes(&ed25519(1), br#"{"alg":"EdDSA"}"#, payload)).err()
}

#[test]
fn what_was_signed_is_read_back_with_every_algorithm() {
    let header = object(json!({ "typ": "JWT", "kid": "a key" }));
    let payload = object(json!({ "sub": "alice", "nested": { "list": [1, "two", null] } }));
    for (algorithm, key) in every_algorithm() {
        let token = sign(&key, algorithm, &header, &payload).unwrap();
        let unverified = Jws::parse(&token).unwrap();
        assert_eq!(unverified.algorithm(), algorithm);
        assert_eq!(unverified.kid(), Some("a key"));
        assert_eq!(unverified.subject(), Some("alice"));
        let jws = unverified.verify(key.public_key()).unwrap();
        assert_eq!(jws.payload().to_map(), payload, "{algorithm}");
        assert_eq!(jws.header().get("alg"), Some(&json!(algorithm.name())), "{algorithm}");
        assert_eq!(jws.typ(), Some("JWT"));
    }
}

#[test]
fn a_typed_header_names_its_key_or_carries_it() {
    let (key, payload) = (ed25519(1), object(json!({ "sub": "alice" })));
    let kid = key.public_key().thumbprint();
    let header = object(json!({ "typ": "at+jwt", "kid": kid }));
    assert_eq!(
        sign_typed("at+jwt", &key, Algorithm::EdDsa, &payload),
        sign(&key, Algorithm::EdDsa, &header, &payload)
    );
    let header = object(json!({ "typ": "dpop+jwt", "jwk": key.public_key().to_jwk() }));
    assert_eq!(
        sign_with_jwk("dpop+jwt", &key, &payload),
        sign(&key, Algorithm::EdDsa, &header, &payload)
    );
}

#[test]
fn the_algorithm_in_the_header_is_the_one_that_signed() {
    let claimed = object(json!({ "alg": "none" }));
    let token = sign(&ed25519(1), Algorithm::EdDsa, &claimed, &object(json!({}))).unwrap();
    assert_eq!(Jws::parse(&token).unwrap().algorithm(), Algorithm::EdDsa);
}

#[test]
fn a_key_signs_with_its_own_algorithms_only() {
    for (algorithm, key) in every_algorithm() {
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let signed = sign(&key, other, &object(json!({})), &object(json!({})));
            assert_eq!(signed.is_ok(), key.public_key().algorithms().contains(&other), "{other}");
        }
    }
}

#[test]
fn no_other_key_verifies() {
    let token = sign_bytes(&ed25519(1), br#"{"alg":"EdDSA"}"#, PAYLOAD);
    let verify = |key: &PublicKey| Jws::parse(&token).unwrap().verify(key).map(drop);
    assert_eq!(verify(ed25519(1).public_key()), Ok(()));
    assert_eq!(verify(ed25519(2).public_key()), Err(BadSignature));
    assert_eq!(verify(ec_p384().public_key()), Err(BadSignature));
}

#[test]
fn a_signature_is_for_one_header_and_one_payload() {
    let key = ed25519(1);
    let alice = sign_bytes(&key, br#"{"alg":"EdDSA"}"#, br#"{"sub":"alice"}"#);
    let mallory = sign_bytes(&key, br#"{"alg":"EdDSA","typ":"JWT"}"#, br#"{"sub":"mallory"}"#);
    let [one, other] = [&alice, &mallory].map(|token| token.split('.').collect::<Vec<_>>());
    for place in 0..3 {
        let mut mixed = one.clone();
        mixed[place] = other[place];
        let mixed = mixed.join(".");
        let verified = Jws::parse(&mixed).unwrap().verify(key.public_key());
        assert_eq!(verified.map(drop), Err(BadSignature), "segment {place}");
    }
}

#[test]
fn typ_may_leave_out_application() {
    let typ = |typ: &str| {
        let token =
            sign(&ed25519(1), Algorithm::EdDsa, &object(json!({ "typ": typ })), &object(json!({})));
        let token = token.unwrap();
        let jws = Jws::parse(&token).unwrap().verify(ed25519(1).public_key()).unwrap();
        jws.typ().map(str::to_owned)
    };
    assert_eq!(typ("application/at+jwt").as_deref(), Some("at+jwt"));
    assert_eq!(typ("APPLICATION/at+jwt").as_deref(), Some("at+jwt"));
    assert_eq!(typ("at+jwt").as_deref(), Some("at+jwt"));
    assert_eq!(typ("application").as_deref(), Some("application"));
    assert_eq!(typ("text/at+jwt").as_deref(), Some("text/at+jwt"));
    assert_eq!(typ("").as_deref(), Some(""));
    // A byte index inside a character must not end in a panic.
    assert_eq!(typ("applicationä").as_deref(), Some("applicationä"));
}

#[test]
fn typ_and_kid_of_another_type_are_not_absent() {
    for value in ["7", "null", "true", "[]", "{}", r#"["at+jwt"]"#] {
        for name in ["typ", "kid"] {
            let header = format!(r#"{{"alg":"EdDSA","{name}":{value}}}"#);
            assert_eq!(refusal_of_header(&header), Some(JwsError::Header), "{header}");
        }
    }
}

#[test]
fn a_token_is_at_most_8_kib_long() {
    let longest = token_of_length(MAX_LEN);
    assert!(Jws::parse(&longest).unwrap().verify(ed25519(1).public_key()).is_ok());
    assert_eq!(Jws::parse(&token_of_length(MAX_LEN + 1)).err(), Some(JwsError::TooLong));
}

#[test]
fn the_length_is_looked_at_before_anything_else() {
    for filler in [".", "A", "=", "{", "ä", "\0"] {
        let text = filler.repeat(MAX_LEN / filler.len() + 1);
        assert_eq!(Jws::parse(&text).err(), Some(JwsError::TooLong), "{filler:?}");
    }
}

/// A good token of exactly `length` bytes.
fn token_of_length(length: usize) -> String {
    // Lengths of the form 4n + 1 do not exist in base64url, so the header has to give way.
    for kid in ["", "a", "aa", "aaa"] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#);
        let token = |filler: usize| {
            let payload = format!(r#"{{"filler":"{}"}}"#, "x".repeat(filler));
            sign_bytes(&ed25519(1), header.as_bytes(), payload.as_bytes())
        };
        let guess = (length - token(0).len()) * 3 / 4;
        let mut near = (guess.saturating_sub(4)..guess + 4).map(token);
        if let Some(found) = near.find(|token| token.len() == length) {
            return found;
        }
    }
    panic!("no token has {length} bytes");
}
