//! The key that a proof carries: RFC 9449 §4.2, RFC 8725 §3.

use super::*;
use crate::{
    keys::Algorithm,
    test_support::{ec_p384, sign_bytes},
};

fn with_jwk(jwk: Value) -> Result<(), DpopError> {
    with_header("jwk", jwk)
}

fn refused(error: KeyError) -> Result<(), DpopError> {
    Err(DpopError::Key(error))
}

/// The key of a good proof with further members.
fn jwk_and(members: Value) -> Value {
    let mut jwk = ed25519(1).public_key().to_jwk();
    jwk.extend(object(members));
    Value::Object(jwk)
}

#[test]
fn a_jwk_that_is_not_an_object_is_no_key() {
    for jwk in [json!(null), json!("key"), json!(7), json!([jwk_and(json!({}))])] {
        assert_eq!(with_jwk(jwk.clone()), Err(DpopError::NoKey), "{jwk}");
    }
}

#[test]
fn a_key_of_another_kind_is_refused() {
    for (jwk, error) in [
        (json!({ "kty": "oct", "alg": "HS256" }), KeyError::UnsupportedKeyType("symmetric")),
        (json!({ "kty": "okp" }), KeyError::UnknownKeyType),
        (json!({}), KeyError::MissingMember("kty")),
        (json!({ "keys": [jwk_and(json!({}))] }), KeyError::JwkSet),
        (json!({ "kty": "OKP", "crv": "Ed448" }), KeyError::UnsupportedCurve("Ed448")),
        (json!({ "kty": "OKP", "crv": "X25519" }), KeyError::UnsupportedCurve("X25519")),
        (json!({ "kty": "EC", "crv": "secp256k1" }), KeyError::UnsupportedCurve("secp256k1")),
    ] {
        assert_eq!(with_jwk(jwk.clone()), refused(error), "{jwk}");
    }
}

#[test]
fn a_key_that_is_not_for_verifying_is_refused() {
    assert_eq!(with_jwk(jwk_and(json!({ "use": "sig", "key_ops": ["verify"] }))), Ok(()));
    assert_eq!(with_jwk(jwk_and(json!({ "use": "enc" }))), refused(KeyError::InvalidUse));
    let encrypts = jwk_and(json!({ "key_ops": ["encrypt"] }));
    assert_eq!(with_jwk(encrypts), refused(KeyError::InvalidKeyOps));
}

#[test]
fn a_key_with_a_second_spelling_is_refused() {
    let x = ed25519(1).public_key().to_jwk()["x"].as_str().unwrap().to_owned();
    for spelling in [format!("{x}="), format!(" {x}"), x.replace('_', "/").replace('-', "+") + "="]
    {
        let verdict = with_jwk(jwk_and(json!({ "x": spelling })));
        assert_eq!(verdict, refused(KeyError::NotBase64Url("x")), "{spelling}");
    }
}

#[test]
fn a_weak_key_is_refused() {
    let pem = include_str!("../../../../vectors/keys/rsa-1024.spki.pem");
    let lenient = KeyPolicy { min_rsa_bits: 1024, ..KeyPolicy::default() };
    let weak = PublicKey::parse(pem, &lenient).unwrap();
    let verdict = with_jwk(Value::Object(weak.to_jwk()));
    assert_eq!(verdict, refused(KeyError::RsaTooSmall { bits: 1024, min: 2048 }));
}

#[test]
fn a_key_of_low_order_is_refused() {
    // The neutral element: with it, one signature fits every message.
    let mut x = [0; 32];
    x[0] = 1;
    let verdict = with_jwk(jwk_and(json!({ "x": base64url::encode(&x) })));
    assert_eq!(verdict, refused(KeyError::LowOrderPoint));
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let jwk = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": base64url::encode(&[0; 32]),
        "y": base64url::encode(&[0; 32]),
    });
    assert_eq!(with_jwk(jwk), refused(KeyError::PointNotOnCurve));
}

#[test]
fn somebody_elses_key_in_the_header_does_not_verify() {
    // The thief knows the victim's public key, and that is all.
    let mut draft = Draft::by(ed25519(2));
    let victim = ed25519(1).public_key().to_jwk();
    draft.header.insert("jwk".to_owned(), Value::Object(victim));
    let verdict = Request::good().verify(&draft.sign()).map(drop);
    assert_eq!(verdict, Err(DpopError::Signature));
}

#[test]
fn an_algorithm_that_does_not_fit_the_key_is_refused() {
    let payload = Value::Object(Draft::good().payload).to_string();
    for key in [ed25519(1), ec_p256(), ec_p384(), rsa()] {
        let request = Request { access_token: Some(binding(&key)), ..Request::good() };
        for alg in Algorithm::ALL.into_iter().filter(|alg| *alg != key.algorithm()) {
            let jwk = key.public_key().to_jwk();
            let header = json!({ "typ": "dpop+jwt", "alg": alg.name(), "jwk": jwk });
            let proof = sign_bytes(&key, header.to_string().as_bytes(), payload.as_bytes());
            let verdict = request.verify(&proof).map(drop);
            assert_eq!(verdict, Err(DpopError::Signature), "{alg} with {}", key.algorithm());
        }
    }
}

#[test]
fn the_alg_of_the_jwk_must_be_the_one_of_the_proof() {
    let request = Request { access_token: Some(binding(&rsa())), ..Request::good() };
    let mut draft = Draft::by(rsa());
    for (jwk_alg, verdict) in [("RS256", Ok(())), ("PS256", Err(DpopError::Signature))] {
        let mut jwk = rsa().public_key().to_jwk();
        jwk.insert("alg".to_owned(), json!(jwk_alg));
        draft.header.insert("jwk".to_owned(), Value::Object(jwk));
        assert_eq!(request.verify(&draft.sign()).map(drop), verdict, "{jwk_alg}");
    }
    let misfit = jwk_and(json!({ "alg": "ES256" }));
    assert_eq!(with_jwk(misfit), refused(KeyError::AlgorithmMismatch));
}

#[test]
fn a_key_from_a_cache_must_be_the_one_in_the_proof() {
    let proof = Draft::good().sign();
    let verdict = |key: &PrivateKey| {
        let presented = PresentedProof::parse(&proof).unwrap();
        Request::good().verify_with(presented, key.public_key()).map(drop)
    };
    assert_eq!(verdict(&ed25519(1)), Ok(()));
    assert_eq!(verdict(&ed25519(2)), Err(DpopError::Signature));
}

#[test]
fn the_thumbprint_is_known_before_verification() {
    for key in [ed25519(1), ec_p256(), rsa()] {
        let proof = Draft::by(key);
        let text = proof.sign();
        let presented = PresentedProof::parse(&text).unwrap();
        assert_eq!(presented.jwk().thumbprint(), proof.key.public_key().thumbprint());
    }
}
