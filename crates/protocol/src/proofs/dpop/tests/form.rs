//! What a proof is made of: field, header parameters, types of claims.

use super::*;
use crate::test_support::sign_bytes;

#[test]
fn a_field_that_is_not_text_is_refused() {
    let proof = Draft::good().sign().into_bytes();
    for byte in [0xff, 0x80, 0xc3] {
        let field = [&proof[..], &[byte]].concat();
        let refusal = PresentedProof::from_fields([&field[..]]).err();
        assert_eq!(refusal, Some(JwsError::NotCompact.into()), "{byte:#x}");
    }
}

#[test]
fn space_around_a_proof_is_refused() {
    let proof = Draft::good().sign();
    let header: DpopError = JwsError::Header.into();
    let signature: DpopError = JwsError::Signature.into();
    for (text, error) in [
        (format!(" {proof}"), &header),
        (format!("DPoP {proof}"), &header),
        (format!("\"{proof}\""), &header),
        (format!("{proof} "), &signature),
        (format!("{proof}\n"), &signature),
        (format!("{proof}="), &signature),
    ] {
        let refusal = PresentedProof::from_fields([text.as_bytes()]).err();
        assert_eq!(refusal.as_ref(), Some(error), "{text}");
    }
}

#[test]
fn a_claim_of_another_type_is_refused() {
    for claim in ["jti", "htm", "htu", "iat", "exp", "nbf", "ath"] {
        for value in [json!(null), json!(true), json!([]), json!({}), json!("")] {
            assert_eq!(with(claim, value.clone()), malformed(claim), "{claim}: {value}");
        }
    }
    for claim in ["jti", "htm", "htu", "ath", "nonce"] {
        assert_eq!(with(claim, json!(7)), malformed(claim), "{claim}");
        let listed = json!([Draft::good().payload[claim]]);
        assert_eq!(with(claim, listed), malformed(claim), "{claim} in a list");
    }
}

#[test]
fn a_jti_has_at_most_128_bytes() {
    assert_eq!(with("jti", json!("j".repeat(128))), Ok(()));
    let too_long = ClaimError::TooLong { name: "jti", bytes: 129, max: 128 };
    assert_eq!(with("jti", json!("j".repeat(129))), Err(too_long.into()));
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    for (parameter, value) in [("crit", json!(["x"])), ("crit", json!([])), ("b64", json!(true))] {
        let verdict = with_header(parameter, value);
        assert_eq!(verdict, Err(JwsError::Critical.into()), "{parameter}");
    }
}

#[test]
fn a_member_that_appears_twice_is_refused() {
    let jwk = Value::Object(ed25519(1).public_key().to_jwk());
    let payload = Value::Object(Draft::good().payload);
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{jwk}}}"#);
    let parse = |header: &str, payload: &str| {
        let proof = sign_bytes(&ed25519(1), header.as_bytes(), payload.as_bytes());
        Request::good().verify(&proof).map(drop)
    };
    assert_eq!(parse(&header, &payload.to_string()), Ok(()));

    let twice = header.replacen('{', &format!(r#"{{"jwk":{jwk},"#), 1);
    assert_eq!(parse(&twice, &payload.to_string()), Err(JwsError::Header.into()));
    let twice = header.replacen(r#""kty""#, r#""k\u0074y":"EC","kty""#, 1);
    assert_eq!(parse(&twice, &payload.to_string()), Err(JwsError::Header.into()));
    let twice = payload.to_string().replacen('{', r#"{"htm":"GET","#, 1);
    assert_eq!(parse(&header, &twice), Err(JwsError::Payload.into()));
}

#[test]
fn an_oversize_proof_is_refused() {
    let verdict = with("extra", json!("x".repeat(jws::MAX_LEN)));
    assert_eq!(verdict, Err(JwsError::TooLong.into()));
}

#[test]
fn the_cheap_rules_come_before_the_signature() {
    let mut draft = Draft::good();
    draft.set("htm", json!("GET"));
    let proof = draft.sign();
    let (input, _) = proof.rsplit_once('.').unwrap();
    let verdict = Request::good().verify(&format!("{input}.AAAA")).map(drop);
    assert_eq!(verdict, Err(DpopError::Method));
}
