//! Header parameters that name or carry a key: RFC 8725 §3.10, RFC 7515 §4.1.2 to §4.1.8.

use serde_json::Value;

use super::*;
use crate::tokens::{
    assertion::{AssertionError, PresentedAssertion},
    verify::AccessToken,
};

/// Parameters that would lead a trusting verifier to the attacker's key.
fn leads_to(attacker: &PrivateKey) -> [(&'static str, Value); 6] {
    let der = crate::strict::base64::encode(&attacker.public_key().to_spki_der());
    [
        ("jwk", Value::Object(attacker.public_key().to_jwk())),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("http://169.254.169.254/latest/meta-data/")),
        ("x5c", json!([der])),
        ("x5t#S256", json!(attacker.public_key().thumbprint().to_string())),
        ("kid", json!(attacker.public_key().thumbprint().to_string())),
    ]
}

#[test]
fn a_key_in_the_header_is_not_trusted() {
    let (own, attacker) = (ed25519(1), ed25519(2));
    for (name, value) in leads_to(&attacker) {
        let header = object(json!({ name: value }));
        let forged = sign(&attacker, Algorithm::EdDsa, &header, &object(json!({}))).unwrap();
        let verified = Jws::parse(&forged).unwrap().verify(own.public_key());
        assert_eq!(verified.map(drop), Err(BadSignature), "{name}");
    }
}

#[test]
fn a_key_in_the_header_changes_nothing_for_the_right_key() {
    let (own, attacker) = (ed25519(1), ed25519(2));
    for (name, value) in leads_to(&attacker) {
        let header = object(json!({ name: value }));
        let token = sign(&own, Algorithm::EdDsa, &header, &object(json!({}))).unwrap();
        assert!(Jws::parse(&token).unwrap().verify(own.public_key()).is_ok(), "{name}");
        let verified = Jws::parse(&token).unwrap().verify(attacker.public_key());
        assert_eq!(verified.map(drop), Err(BadSignature), "{name}");
    }
}

#[test]
fn a_kid_is_only_ever_text_to_look_up() {
    let thumbprint = ed25519(1).public_key().thumbprint();
    for kid in [
        "../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "x' UNION SELECT 'secret",
        "*)(uid=*))(|(uid=*",
        "key\n",
        "key\u{7f}",
        "| /usr/bin/id",
        "\u{202e}yek",
        " ",
        "",
        &format!("{thumbprint}="),
        &format!(" {thumbprint}"),
        &thumbprint.to_string()[1..],
        &"k".repeat(4096),
    ] {
        let header = object(json!({ "kid": kid }));
        let token = sign(&ed25519(1), Algorithm::EdDsa, &header, &object(json!({}))).unwrap();
        assert_eq!(Jws::parse(&token).unwrap().kid(), Some(kid));
        assert_eq!(AccessToken::parse(&token).unwrap().kid(), None, "{kid:?} names no key");
        let assertion = PresentedAssertion::parse(&token).unwrap();
        assert_eq!(assertion.kid(), Err(AssertionError::KeyId), "{kid:?} names no credential");
    }
}

#[test]
fn a_kid_that_is_a_thumbprint_names_a_key() {
    let thumbprint = ed25519(1).public_key().thumbprint();
    let header = object(json!({ "kid": thumbprint.to_string() }));
    let token = sign(&ed25519(1), Algorithm::EdDsa, &header, &object(json!({}))).unwrap();
    assert_eq!(AccessToken::parse(&token).unwrap().kid(), Some(thumbprint));
    assert_eq!(PresentedAssertion::parse(&token).unwrap().kid(), Ok(Some(thumbprint)));
}

#[test]
fn a_kid_with_a_nul_is_refused() {
    let refusal = refusal_of_header(r#"{"alg":"EdDSA","kid":"key\u0000.pem"}"#);
    assert_eq!(refusal, Some(JwsError::Header));
}
