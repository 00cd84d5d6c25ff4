//! The claims that RFC 9068 §2.2 requires, and their types.

use super::*;

fn missing(claim: &'static str) -> Result<AccessTokenClaims, AccessTokenError> {
    Err(ClaimError::Missing(claim).into())
}

fn malformed(claim: &'static str) -> Result<AccessTokenClaims, AccessTokenError> {
    Err(ClaimError::Malformed(claim).into())
}

#[test]
fn every_required_claim_must_be_there() {
    for claim in ["iss", "sub", "aud", "client_id", "jti", "iat", "exp"] {
        assert_eq!(altered(|draft| draft.remove(claim)), missing(claim), "{claim}");
        // Names are case-sensitive (RFC 7519 §4).
        let respelt = altered(|draft| {
            let value = draft.payload.remove(claim).unwrap();
            draft.set(&claim.to_uppercase(), value);
        });
        assert_eq!(respelt, missing(claim), "{claim}");
    }
}

#[test]
fn a_claim_of_another_type_is_refused() {
    let wrong = [json!(null), json!(true), json!({}), json!([]), json!([[]]), json!("")];
    for claim in ["iss", "sub", "aud", "client_id", "jti", "iat", "exp", "nbf", "scope", "cnf"] {
        for value in &wrong {
            assert_eq!(with(claim, value.clone()), malformed(claim), "{claim}: {value}");
        }
    }
    for claim in ["iss", "sub", "aud", "client_id", "jti", "scope", "cnf"] {
        assert_eq!(with(claim, json!(7)), malformed(claim), "{claim}");
    }
    for claim in ["iss", "sub", "client_id", "jti", "scope"] {
        let listed = json!([Draft::good().payload[claim]]);
        assert_eq!(with(claim, listed), malformed(claim), "{claim} in a list");
    }
}

#[test]
fn the_issuer_must_be_exactly_the_expected_one() {
    for issuer in [
        "https://other.example",
        "https://auth.example/",
        "HTTPS://auth.example",
        "https://auth.example.attacker.example",
        "https://auth.exampl",
        "http://auth.example",
        " https://auth.example",
    ] {
        assert_eq!(with("iss", json!(issuer)), Err(AccessTokenError::Issuer), "{issuer}");
    }
}

#[test]
fn the_audience_must_contain_the_resource() {
    let list = json!(["https://other.example", AUDIENCE]);
    assert_eq!(with("aud", list).map(|claims| claims.audience.len()), Ok(2));
    for audience in [
        json!("https://other.example"),
        json!(["https://other.example", "https://third.example"]),
        json!("https://api.example/"),
        json!("https://api.example.attacker.example"),
        json!("HTTPS://API.EXAMPLE"),
        json!(ISSUER),
        json!(format!("{AUDIENCE} https://other.example")),
    ] {
        let verdict = with("aud", audience.clone());
        let expected = AUDIENCE.to_owned();
        assert_eq!(verdict, Err(AccessTokenError::Audience { expected }), "{audience}");
    }
}

#[test]
fn an_audience_that_is_not_strings_is_refused() {
    for audience in [
        json!([AUDIENCE, 7]),
        json!([AUDIENCE, null]),
        json!([[AUDIENCE]]),
        json!({ AUDIENCE: true }),
        json!({ "0": AUDIENCE }),
        json!(vec![AUDIENCE; 17]),
    ] {
        assert_eq!(with("aud", audience.clone()), malformed("aud"), "{audience}");
    }
}

#[test]
fn the_subject_must_be_an_account_id() {
    let id = account_id().to_string();
    for sub in ["alice", &id.to_uppercase(), &id.replace('-', ""), &format!("{id} ")] {
        assert_eq!(with("sub", json!(sub)), malformed("sub"), "{sub}");
    }
    // RFC 9068 §5: neither can be taken for the other.
    assert_eq!(with("sub", json!(credential().to_string())), malformed("sub"));
    assert_eq!(with("client_id", json!(id)), malformed("client_id"));
}

#[test]
fn the_scope_must_be_a_set_of_scopes() {
    let scopes = |scope: &str| with("scope", json!(scope)).map(|claims| claims.scopes.to_string());
    assert_eq!(scopes("write read"), Ok("read write".to_owned()));
    for scope in ["read  write", " read", "read\twrite", "re\"ad", "lesen-ü"] {
        assert_eq!(with("scope", json!(scope)), malformed("scope"), "{scope:?}");
    }
    let verdict = altered(|draft| draft.remove("scope"));
    assert_eq!(verdict.map(|claims| claims.scopes), Ok(Scopes::none()));
}

#[test]
fn a_token_without_a_binding_is_refused() {
    let verdict = altered(|draft| draft.remove("cnf"));
    assert_eq!(verdict, Err(AccessTokenError::Unbound));
}

#[test]
fn a_binding_that_is_not_understood_is_not_ignored() {
    let jkt = bound_to().to_string();
    let jwk = Value::Object(ed25519(3).public_key().to_jwk());
    for cnf in [
        json!({ "x5t#S256": jkt }),
        json!({ "jkt": jkt, "x5t#S256": jkt }),
        json!({ "jkt": jkt, "jwk": jwk }),
        json!({ "jwk": jwk }),
        json!({ "kid": jkt }),
        json!({ "jku": "https://auth.example/jwks.json", "kid": "1" }),
        json!({ "JKT": jkt }),
        json!({ "jkt": [jkt] }),
        json!({ "jkt": null }),
        json!({ "jkt": "" }),
        json!({ "jkt": jkt[1..] }),
        json!({ "jkt": format!("{jkt}=") }),
        json!({ "jkt": format!("{jkt}A") }),
        json!([{ "jkt": jkt }]),
        json!(jkt),
    ] {
        assert_eq!(with("cnf", cnf.clone()), malformed("cnf"), "{cnf}");
    }
}

#[test]
fn a_long_string_is_refused() {
    let too_long = |name| Err(ClaimError::TooLong { name, bytes: 513, max: 512 }.into());
    let longest = "j".repeat(512);
    assert_eq!(with("jti", json!(longest)).map(|claims| claims.token_id), Ok(longest));
    assert_eq!(with("jti", json!("j".repeat(513))), too_long("jti"));
    assert_eq!(with("iss", json!("i".repeat(513))), too_long("iss"));
    assert_eq!(with("aud", json!("a".repeat(513))), too_long("aud"));
}
