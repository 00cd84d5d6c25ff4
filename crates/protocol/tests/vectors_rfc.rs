//! The examples of RFC 7520 (JOSE cookbook), RFC 7638 and RFC 8037.

use countersign_protocol::keys::{
    Algorithm, KeyError, KeyPolicy, KeyType, PresentedJwk, PublicKey,
};
use countersign_protocol::strict::{base64url, json};
use serde_json::{Map, Value, json};

macro_rules! rfc7520 {
    ($path:literal) => {
        json::parse_object(include_bytes!(concat!("../vectors/rfc7520/", $path))).unwrap()
    };
}

/// The members of a private JWK that are public.
fn public_half(jwk: &Value) -> Map<String, Value> {
    let mut public = jwk.as_object().cloned().unwrap_or_default();
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        public.remove(member);
    }
    public
}

/// What an example of RFC 7520 §4 says: the key, the signed bytes and the signature.
fn example(example: &Map<String, Value>) -> (Map<String, Value>, String, Vec<u8>) {
    let compact = example["output"]["compact"].as_str().unwrap_or_default();
    let (signed, signature) = compact.rsplit_once('.').unwrap_or_default();
    let signature = base64url::decode(signature).unwrap_or_default();
    assert!(!signature.is_empty());
    (public_half(&example["input"]["key"]), signed.to_owned(), signature)
}

#[test]
fn rfc7520_4_1_rs256() {
    let (jwk, signed, signature) = example(&rfc7520!("jws/4_1.rsa_v15_signature.json"));
    let key = PublicKey::from_jwk(&jwk, &KeyPolicy::default()).unwrap();
    key.verify(Algorithm::Rs256, signed.as_bytes(), &signature).unwrap();
    assert!(key.verify(Algorithm::Ps256, signed.as_bytes(), &signature).is_err());
}

#[test]
fn rfc7520_4_2_ps384_is_not_supported() {
    let (mut jwk, signed, signature) = example(&rfc7520!("jws/4_2.rsa-pss_signature.json"));
    let key = PublicKey::from_jwk(&jwk, &KeyPolicy::default()).unwrap();
    assert_eq!(Algorithm::from_name("PS384"), None);
    for algorithm in Algorithm::ALL {
        assert!(key.verify(algorithm, signed.as_bytes(), &signature).is_err());
    }
    jwk.insert("alg".to_owned(), "PS384".into());
    let error = PublicKey::from_jwk(&jwk, &KeyPolicy::default()).unwrap_err();
    assert_eq!(error, KeyError::AlgorithmMismatch);
}

#[test]
fn rfc7520_4_3_p521_is_not_supported() {
    let (jwk, ..) = example(&rfc7520!("jws/4_3.ecdsa_signature.json"));
    let error = PublicKey::from_jwk(&jwk, &KeyPolicy::default()).unwrap_err();
    assert_eq!(error, KeyError::UnsupportedCurve("P-521"));
}

#[test]
fn rfc7520_companion_ed25519() {
    let (jwk, signed, signature) = example(&rfc7520!("curve25519/jws.json"));
    let key = PublicKey::from_jwk(&jwk, &KeyPolicy::default()).unwrap();
    key.verify(Algorithm::EdDsa, signed.as_bytes(), &signature).unwrap();
}

#[test]
fn rfc7520_3_keys() {
    let policy = KeyPolicy::default();
    let parse = |jwk: &Map<String, Value>| PublicKey::from_jwk(jwk, &policy);
    let rsa = parse(&rfc7520!("jwk/3_3.rsa_public_key.json")).unwrap();
    assert_eq!((rsa.key_type(), rsa.rsa_bits()), (KeyType::Rsa, Some(2048)));
    let refused = [
        (rfc7520!("jwk/3_1.ec_public_key.json"), KeyError::UnsupportedCurve("P-521")),
        (rfc7520!("jwk/3_2.ec_private_key.json"), KeyError::PrivateMember("d")),
        (rfc7520!("jwk/3_4.rsa_private_key.json"), KeyError::PrivateMember("d")),
        (rfc7520!("jwk/3_5.symmetric_key_mac_computation.json"), KeyError::PrivateMember("k")),
    ];
    for (jwk, error) in refused {
        assert_eq!(parse(&jwk).unwrap_err(), error);
    }
}

#[test]
fn rfc7638_3_1_thumbprint() {
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29"
    });
    let jwk = jwk.as_object().unwrap();
    let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    let key = PublicKey::from_jwk(jwk, &KeyPolicy::default()).unwrap();
    assert_eq!(key.thumbprint().to_string(), expected);
    assert_eq!(PresentedJwk::read(jwk).unwrap().thumbprint().to_string(), expected);
    assert_eq!(key.algorithms(), [Algorithm::Rs256]);
}

#[test]
fn rfc8037_appendix_a_thumbprint_and_signature() {
    let jwk = json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    });
    let key = PublicKey::from_jwk(jwk.as_object().unwrap(), &KeyPolicy::default()).unwrap();
    assert_eq!(key.thumbprint().to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = base64url::decode(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    )
    .unwrap();
    key.verify(Algorithm::EdDsa, signed.as_bytes(), &signature).unwrap();
}
