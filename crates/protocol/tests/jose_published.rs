//! The tokens that RFC 7515, RFC 7520 and RFC 8037 print, as this product's parser sees them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use countersign_protocol::{
    keys::{BadSignature, KeyPolicy, PublicKey},
    strict::json,
    tokens::jws::{Jws, JwsError},
};
use serde_json::{Map, Value, json};

/// RFC 7515 appendix A.1 to A.3: the claims of "joe".
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// Appendix A.3: their signature with ES256.
const JOE_ES256: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

#[test]
fn rfc7515_a_1_hs256_is_not_supported() {
    let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let token = format!("{header}.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(Jws::parse(&token).err(), Some(JwsError::Algorithm));
}

#[test]
fn rfc7515_a_2_rs256() {
    let key = json!({
        "kty": "RSA",
        "n": concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1",
            "Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpa",
            "SHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4",
            "LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        ),
        "e": "AQAB",
    });
    let signature = concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2",
        "Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjt",
        "QBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6",
        "IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{signature}");
    assert_eq!(claims_of(&token, &key), Ok(joe()));
}

#[test]
fn rfc7515_a_3_es256() {
    let key = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{JOE_ES256}");
    assert_eq!(claims_of(&token, &key), Ok(joe()));
    // The same under the header of A.2.
    let mixed = format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{JOE_ES256}");
    assert_eq!(claims_of(&mixed, &key), Err(BadSignature));
}

#[test]
fn rfc7515_a_5_unsecured_is_refused() {
    let token = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    assert_eq!(Jws::parse(&token).err(), Some(JwsError::Algorithm));
}

#[test]
fn rfc7515_a_6_general_serialisation_is_refused() {
    let token = json!({
        "payload": JOE,
        "signatures": [{
            "protected": "eyJhbGciOiJFUzI1NiJ9",
            "header": { "kid": "e9bc097a-ce51-4036-9562-d2ade882db0d" },
            "signature": JOE_ES256,
        }],
    });
    assert_eq!(Jws::parse(&token.to_string()).err(), Some(JwsError::NotCompact));
}

#[test]
fn rfc7515_appendix_e_critical_extension_is_refused() {
    // Its `crit` names http://example.com/UNDEFINED.
    let token = concat!(
        "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly",
        "9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.",
    );
    assert_eq!(Jws::parse(token).err(), Some(JwsError::Critical));
}

/// The payload of most examples of RFC 7520 §4 is a sentence from a novel, so their signatures are
/// tested with the keys, and here it is tested that no claims are read from a novel.
#[test]
fn rfc7520_4_payload_that_is_no_json_is_refused() {
    let example = |text: &str| {
        let example = json::parse_object(text.as_bytes()).unwrap();
        example["output"]["compact"].as_str().unwrap().to_owned()
    };
    for (text, error) in [
        (include_str!("../vectors/rfc7520/jws/4_1.rsa_v15_signature.json"), JwsError::Payload),
        (include_str!("../vectors/rfc7520/jws/4_2.rsa-pss_signature.json"), JwsError::Algorithm),
        (include_str!("../vectors/rfc7520/jws/4_3.ecdsa_signature.json"), JwsError::Algorithm),
        (include_str!("../vectors/rfc7520/curve25519/jws.json"), JwsError::Payload),
    ] {
        let token = example(text);
        assert_eq!(Jws::parse(&token).err(), Some(error), "{token}");
    }
}

#[test]
fn rfc8037_a_4_payload_that_is_no_json_is_refused() {
    let token = concat!(
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcv",
        "Mg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    assert_eq!(Jws::parse(token).err(), Some(JwsError::Payload));
}

fn claims_of(token: &str, key: &Value) -> Result<Map<String, Value>, BadSignature> {
    let key = json::parse_object(key.to_string().as_bytes()).unwrap();
    let key = PublicKey::from_jwk(&key, &KeyPolicy::default()).unwrap();
    Jws::parse(token).unwrap().verify(&key).map(|jws| jws.payload().to_map())
}

fn joe() -> Map<String, Value> {
    let claims = r#"{"iss":"joe","exp":1300819380,"http://example.com/is_root":true}"#;
    json::parse_object(claims.as_bytes()).unwrap()
}
