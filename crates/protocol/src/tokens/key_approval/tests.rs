//! What an approval must say, and that it can be nothing else.

use serde_json::{Map, Value, json};

use super::*;
use crate::{
    proofs::self_signed::PresentedSelfSigned,
    test_support::{NOW, ed25519, every_algorithm, object},
    tokens::{
        assertion::{AssertionExpectations, AssertionUse, PresentedAssertion},
        jws,
    },
};

const ISSUER: &str = "https://auth.example";
const MAX_LIFETIME: Duration = Duration::from_mins(5);
const SKEW: Duration = Duration::from_secs(5);

fn new_key() -> Thumbprint {
    ed25519(2).public_key().thumbprint()
}

fn expected() -> KeyApprovalExpectations<'static> {
    KeyApprovalExpectations {
        issuer: ISSUER,
        new_key: new_key(),
        max_lifetime: MAX_LIFETIME,
        skew: SKEW,
    }
}

fn good(key: &PrivateKey) -> String {
    let expires_at = NOW + Duration::from_mins(1);
    let approval = NewKeyApproval { audience: ISSUER, new_key: new_key(), expires_at, jti: "1" };
    approval.sign(key).unwrap()
}

fn verify(text: &str, key: &PublicKey) -> Result<Unspent<KeyApproval>, KeyApprovalError> {
    PresentedKeyApproval::parse(text)?.verify(key, &expected(), NOW)
}

/// An approval with those claims changed; null takes one out.
fn changed(changes: Value) -> String {
    let key = ed25519(1);
    let mut claims = object(json!({
        "aud": ISSUER,
        "new_key": new_key(),
        "exp": (NOW + Duration::from_mins(1)).as_secs(),
        "jti": "1",
    }));
    claims.extend(object(changes));
    claims.retain(|_, value| !value.is_null());
    let header = Map::from_iter([("typ".to_owned(), TYPE.into())]);
    jws::sign(&key, key.algorithm(), &header, &claims).unwrap()
}

#[test]
fn an_approval_by_any_kind_of_key_lets_one_key_in() {
    for (_, key) in every_algorithm() {
        let text = good(&key);
        let presented = PresentedKeyApproval::parse(&text).unwrap();
        assert_eq!(presented.kid(), Ok(key.public_key().thumbprint()));
        let verified = verify(&text, key.public_key()).unwrap();
        assert_eq!(verified.peek().new_key, new_key());
    }
}

#[test]
fn what_an_approval_must_say() {
    use KeyApprovalError as E;
    let key = ed25519(1);
    let refused = |changes| verify(&changed(changes), key.public_key()).unwrap_err();
    let after = |secs| (NOW + Duration::from_secs(secs)).as_secs();
    assert!(verify(&changed(json!({})), key.public_key()).is_ok());
    for audience in [json!("https://evil.example"), json!([ISSUER, "https://evil.example"])] {
        assert_eq!(refused(json!({ "aud": audience })), E::Audience { issuer: ISSUER.to_owned() });
    }
    for name in ["aud", "exp", "jti", "new_key"] {
        let missing = refused(json!({ (name): null }));
        assert!(matches!(missing, E::Claim(ClaimError::Missing(own)) if own == name), "{name}");
    }
    assert_eq!(refused(json!({ "new_key": key.public_key().thumbprint() })), E::OtherKey);
    assert_eq!(refused(json!({ "new_key": "x" })), E::OtherKey);
    assert_eq!(refused(json!({ "exp": NOW.as_secs() - 5 })), E::Expired);
    assert_eq!(refused(json!({ "exp": after(316) })), E::TooLongLived(300));
    assert_eq!(refused(json!({ "iat": after(16) })), E::NotYetValid);
    assert_eq!(refused(json!({ "nbf": after(16) })), E::NotYetValid);
    assert_eq!(verify(&good(&key), ed25519(3).public_key()).unwrap_err(), E::Signature);
}

#[test]
fn an_approval_is_no_other_jwt_and_no_other_jwt_is_an_approval() {
    let key = ed25519(1);
    let text = good(&key);
    assert!(PresentedSelfSigned::parse(&text).is_err());
    let expected = AssertionExpectations {
        purpose: AssertionUse::Grant,
        issuer: ISSUER,
        token_endpoint: ISSUER,
        max_lifetime: MAX_LIFETIME,
        skew: SKEW,
    };
    let assertion = PresentedAssertion::parse(&text).unwrap();
    assert!(assertion.verify(key.public_key(), &expected, NOW).is_err());
    for typ in [Value::Null, "JWT".into(), "dpop+jwt".into(), "at+jwt".into()] {
        let header = Map::from_iter([("typ".to_owned(), typ)]);
        let text = jws::sign(&key, key.algorithm(), &header, &json!({ "new_key": "x" })).unwrap();
        assert!(PresentedKeyApproval::parse(&text).is_err());
    }
}

#[test]
fn the_same_identifier_of_another_key_is_another_use() {
    let (one, other) = (ed25519(1), ed25519(3));
    let entry = |key: &PrivateKey| verify(&good(key), key.public_key()).unwrap().entry();
    assert_eq!(entry(&one), entry(&one));
    assert_ne!(entry(&one).digest, entry(&other).digest);
}
