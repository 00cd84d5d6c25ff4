use serde_json::{Map, Value, json};

use super::*;
use crate::{
    keys::PrivateKey,
    replay::SpentReceipt,
    test_support::{NOW, ec_p256, ed25519, every_algorithm, object, rsa},
    tokens::{
        assertion::{AssertionExpectations, AssertionUse, PresentedAssertion},
        jws,
    },
};

const SERVER: &str = "https://auth.example";
const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

fn expected() -> SelfSignedExpectations<'static> {
    SelfSignedExpectations {
        issuer: SERVER,
        audience: SERVER,
        require_audience: false,
        max_lifetime: Duration::from_mins(5),
        skew: Duration::from_secs(5),
        body: None,
        body_hashes: BodyHashes::Sha256,
        require_body_hash: false,
    }
}

fn seconds(offset: i64) -> i64 {
    i64::try_from(NOW.as_secs()).unwrap() + offset
}

/// A good payload with `changes`; null removes a claim.
fn payload(changes: Value) -> Map<String, Value> {
    let mut payload = object(json!({ "sub": "alice", "exp": seconds(60), "iat": seconds(0) }));
    for (name, value) in object(changes) {
        if value.is_null() {
            payload.remove(&name);
        } else {
            payload.insert(name, value);
        }
    }
    payload
}

fn sign_with(key: &PrivateKey, header: Value, changes: Value) -> String {
    jws::sign(key, key.algorithm(), &object(header), &payload(changes)).unwrap()
}

fn sign(changes: Value) -> String {
    sign_with(&ed25519(1), json!({}), changes)
}

fn verdict(
    text: &str,
    expected: &SelfSignedExpectations<'_>,
) -> Result<Unspent<SelfSigned>, SelfSignedError> {
    PresentedSelfSigned::parse(text)?.verify([ed25519(1).public_key()], expected, NOW)
}

fn refused(changes: Value) -> SelfSignedError {
    verdict(&sign(changes), &expected()).unwrap_err()
}

#[test]
fn every_algorithm_is_accepted() {
    for (algorithm, key) in every_algorithm() {
        let text = jws::sign(&key, algorithm, &Map::new(), &payload(json!({}))).unwrap();
        let presented = PresentedSelfSigned::parse(&text).unwrap();
        let verified = presented.verify([key.public_key()], &expected(), NOW).unwrap();
        let entry = verified.entry();
        let value = verified.redeem(&SpentReceipt::recorded(entry)).unwrap();
        assert_eq!(value.thumbprint, key.public_key().thumbprint());
        assert_eq!(value.issued_at, Some(NOW));
        assert_eq!(value.expires_at, NOW + Duration::from_mins(1));
        assert_eq!(entry.forget_at, value.expires_at + expected().skew);
    }
}

#[test]
fn the_account_is_named_by_either_claim_or_both_alike() {
    let account = |changes| {
        let text = sign(changes);
        let presented = PresentedSelfSigned::parse(&text).unwrap();
        presented.account().map(|name| name.map(str::to_owned))
    };
    assert_eq!(account(json!({})), Ok(Some("alice".to_owned())));
    assert_eq!(account(json!({ "sub": null, "accountId": "bob" })), Ok(Some("bob".to_owned())));
    assert_eq!(account(json!({ "accountId": "alice" })), Ok(Some("alice".to_owned())));
    assert_eq!(account(json!({ "accountId": "bob" })), Err(SelfSignedError::TwoAccounts));
    assert_eq!(account(json!({ "sub": null })), Ok(None));
    for wrong in [json!({ "sub": 7 }), json!({ "accountId": ["a"] }), json!({ "sub": "" })] {
        assert!(matches!(account(wrong), Err(SelfSignedError::Claim(_))));
    }
}

#[test]
fn a_jwt_that_says_it_is_something_else_is_refused() {
    for typ in ["JWT", "jwt", "application/jwt"] {
        let text = sign_with(&ed25519(1), json!({ "typ": typ }), json!({}));
        assert!(verdict(&text, &expected()).is_ok(), "{typ}");
    }
    for typ in ["at+jwt", "application/AT+jwt"] {
        let text = sign_with(&ed25519(1), json!({ "typ": typ }), json!({}));
        let error = verdict(&text, &expected()).unwrap_err();
        assert_eq!(error, SelfSignedError::AccessToken, "{typ}");
    }
    for typ in ["dpop+jwt", "client-authentication+jwt", "JOSE", "", "session+jwt"] {
        let text = sign_with(&ed25519(1), json!({ "typ": typ }), json!({}));
        assert_eq!(verdict(&text, &expected()).unwrap_err(), SelfSignedError::Type, "{typ}");
    }
}

#[test]
fn an_assertion_is_no_self_signed_jwt_and_the_other_way_round() {
    let assertion = json!({ "iss": "alice", "aud": SERVER, "jti": "1" });
    assert_eq!(refused(assertion.clone()), SelfSignedError::Assertion);
    let rules = AssertionExpectations {
        purpose: AssertionUse::Grant,
        issuer: SERVER,
        token_endpoint: "https://auth.example/oauth/token",
        max_lifetime: Duration::from_mins(5),
        skew: Duration::from_secs(5),
    };
    let as_assertion = |text: &str| {
        let key = ed25519(1);
        PresentedAssertion::parse(text).unwrap().verify(key.public_key(), &rules, NOW).is_ok()
    };
    assert!(as_assertion(&sign(assertion.clone())));
    for missing in ["iss", "aud", "jti"] {
        let mut changes = object(assertion.clone());
        changes.remove(missing);
        let text = sign(Value::Object(changes));
        assert!(verdict(&text, &expected()).is_ok(), "{missing}");
        assert!(!as_assertion(&text), "{missing}");
    }
    assert_eq!(refused(json!({ "iss": SERVER })), SelfSignedError::Issuer);
    // At an API elsewhere it names the API alone, and no assertion does.
    let api = SelfSignedExpectations { audience: "https://api.example", ..expected() };
    let for_api = sign(json!({ "iss": "alice", "aud": "https://api.example", "jti": "1" }));
    assert!(verdict(&for_api, &api).is_ok() && !as_assertion(&for_api));
    let for_both = json!(["https://api.example", SERVER]);
    for aud in [json!(SERVER), for_both] {
        let text = sign(json!({ "iss": "alice", "aud": aud, "jti": "1" }));
        let expected = "https://api.example".to_owned();
        assert_eq!(verdict(&text, &api).unwrap_err(), SelfSignedError::Audience { expected });
    }
}

#[test]
fn the_audience_is_this_server_and_nobody_else() {
    assert!(verdict(&sign(json!({ "aud": SERVER })), &expected()).is_ok());
    assert!(verdict(&sign(json!({ "aud": [SERVER] })), &expected()).is_ok());
    for other in [json!("https://evil.example"), json!([SERVER, "https://other.example"])] {
        let told = refused(json!({ "aud": other }));
        assert_eq!(told, SelfSignedError::Audience { expected: SERVER.to_owned() });
        assert!(told.to_string().contains(SERVER), "{told}");
    }
    for malformed in [json!([]), json!(1), json!("")] {
        let error = refused(json!({ "aud": malformed }));
        assert_eq!(error, ClaimError::Malformed("aud").into());
    }
    let mandatory = SelfSignedExpectations { require_audience: true, ..expected() };
    let error = verdict(&sign(json!({})), &mandatory).unwrap_err();
    assert_eq!(error, ClaimError::Missing("aud").into());
    assert!(verdict(&sign(json!({ "aud": SERVER })), &mandatory).is_ok());
}

#[test]
fn it_ends_and_soon() {
    assert_eq!(refused(json!({ "exp": null })), ClaimError::Missing("exp").into());
    assert_eq!(refused(json!({ "exp": seconds(-5) })), SelfSignedError::Expired);
    assert!(verdict(&sign(json!({ "exp": seconds(-4) })), &expected()).is_ok(), "within the skew");
    let undated = |exp| json!({ "exp": seconds(exp), "iat": null });
    assert!(verdict(&sign(undated(315)), &expected()).is_ok());
    assert_eq!(refused(undated(316)), SelfSignedError::TooLongLived { allowed: 300 });
    assert_eq!(refused(json!({ "exp": "soon" })), ClaimError::Malformed("exp").into());
    for name in ["iat", "nbf"] {
        assert!(verdict(&sign(json!({ name: seconds(15) })), &expected()).is_ok());
        assert_eq!(refused(json!({ name: seconds(16) })), SelfSignedError::NotYetValid);
        assert_eq!(refused(json!({ name: "x" })), ClaimError::Malformed(name).into());
    }
    let without = verdict(&sign(json!({ "iat": null })), &expected()).unwrap();
    assert_eq!(without.peek().issued_at, None);
}

#[test]
fn with_an_iat_it_ends_in_time_whatever_its_exp() {
    let dated = |iat, exp| sign(json!({ "iat": seconds(iat), "exp": seconds(exp) }));
    let end = |iat, exp| {
        let verified = verdict(&dated(iat, exp), &expected()).unwrap();
        let (end, entry) = (verified.peek().expires_at, verified.entry());
        assert_eq!(entry.forget_at, end + expected().skew, "it is remembered for as long");
        i64::try_from(end.as_secs()).unwrap() - seconds(0)
    };
    let far = i64::from(u32::MAX);
    for (iat, exp, ends) in [
        (0, 60, 60),
        (0, 300, 300),
        (0, 3600, 300),
        (0, 7200, 300),
        (-100, 7200, 200),
        (15, far, 315),
        (-304, 3600, -4),
    ] {
        assert_eq!(end(iat, exp), ends, "{iat} to {exp}");
    }
    let too_old = SelfSignedError::TooOld { allowed: 300 };
    for iat in [-305, -3600] {
        assert_eq!(verdict(&dated(iat, 3600), &expected()).unwrap_err(), too_old);
    }
    assert_eq!(verdict(&dated(16, 3600), &expected()).unwrap_err(), SelfSignedError::NotYetValid);
}

#[test]
fn the_hash_of_the_body_must_match() {
    let with_body = |body| SelfSignedExpectations { body, ..expected() };
    let text = sign(json!({ "tha": SHA256_OF_ABC }));
    assert!(PresentedSelfSigned::parse(&text).unwrap().has_body_hash());
    assert!(verdict(&text, &with_body(Some(b"abc"))).is_ok());
    for body in [&b"abd"[..], b""] {
        let error = verdict(&text, &with_body(Some(body))).unwrap_err();
        assert_eq!(error, SelfSignedError::BodyHash, "{body:?}");
    }
    assert_eq!(verdict(&text, &with_body(None)).unwrap_err(), SelfSignedError::BodyUnseen);
    let md5 = sign(json!({ "tha": MD5_OF_ABC }));
    let error = verdict(&md5, &with_body(Some(b"abc"))).unwrap_err();
    assert_eq!(error, SelfSignedError::BodyHash);
    let lenient =
        SelfSignedExpectations { body_hashes: BodyHashes::Sha256OrMd5, ..with_body(Some(b"abc")) };
    let hash_of = |text| verdict(text, &lenient).unwrap().peek().body_hash;
    assert_eq!(hash_of(&md5), Some(BodyHash::Md5));
    assert_eq!(hash_of(&text), Some(BodyHash::Sha256));
    assert_eq!(hash_of(&sign(json!({}))), None);
    let error = refused(json!({ "tha": 7 }));
    assert_eq!(error, ClaimError::Malformed("tha").into());
    let demanding = SelfSignedExpectations { require_body_hash: true, ..with_body(Some(b"abc")) };
    let error = verdict(&sign(json!({})), &demanding).unwrap_err();
    assert_eq!(error, ClaimError::Missing("tha").into());
    assert!(verdict(&text, &demanding).is_ok());
}

#[test]
fn one_of_the_keys_must_have_signed() {
    let text = sign(json!({}));
    let (right, other, ec) = (ed25519(1), ed25519(2), ec_p256());
    let all = [other.public_key(), ec.public_key(), right.public_key()];
    let verified = PresentedSelfSigned::parse(&text).unwrap().verify(all, &expected(), NOW);
    assert_eq!(verified.unwrap().peek().thumbprint, right.public_key().thumbprint());
    for keys in [&all[..2], &[]] {
        let presented = PresentedSelfSigned::parse(&text).unwrap();
        let error = presented.verify(keys.iter().copied(), &expected(), NOW).unwrap_err();
        assert_eq!(error, SelfSignedError::Signature);
    }
}

#[test]
fn every_altered_character_is_refused() {
    let text = sign(json!({}));
    for place in 0..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        assert!(verdict(&String::from_utf8(altered).unwrap(), &expected()).is_err(), "{place}");
    }
}

#[test]
fn another_signature_over_the_same_content_is_the_same_use() {
    for key in [ec_p256(), rsa()] {
        let algorithm = *key.public_key().algorithms().last().unwrap();
        let entry = || {
            let text = jws::sign(&key, algorithm, &Map::new(), &payload(json!({}))).unwrap();
            let presented = PresentedSelfSigned::parse(&text).unwrap();
            (text.clone(), presented.verify([key.public_key()], &expected(), NOW).unwrap().entry())
        };
        let ((one, first), (other, second)) = (entry(), entry());
        assert_ne!(one, other, "these signatures are randomised");
        assert_eq!(first, second);
    }
}

#[test]
fn another_key_or_content_is_another_use() {
    let entry = |key: &PrivateKey, changes| {
        let text = sign_with(key, json!({}), changes);
        let presented = PresentedSelfSigned::parse(&text).unwrap();
        presented.verify([key.public_key()], &expected(), NOW).unwrap().entry().digest
    };
    let first = entry(&ed25519(1), json!({}));
    assert_ne!(first, entry(&ed25519(2), json!({})));
    assert_ne!(first, entry(&ed25519(1), json!({ "jti": "2" })));
}
