//! `alg` and `crit`: RFC 8725 §3.1, RFC 7515 §4.1.1 and §4.1.11, RFC 7797.

use aws_lc_rs::hmac;
use serde_json::Value;

use super::*;
use crate::test_support::{ec_p256, rsa};

#[test]
fn alg_none_is_refused_in_every_spelling() {
    assert_eq!(refusal_of_header(r#"{"alg":"EdDSA"}"#), None);
    let header = |alg: &str| base64url::encode(format!(r#"{{"alg":"{alg}"}}"#).as_bytes());
    let payload = base64url::encode(PAYLOAD);
    for alg in ["none", "None", "NONE", "nOnE", "nonE", " none", "none ", "n\\u006fne", "null", ""]
    {
        let unsigned = format!("{}.{payload}.", header(alg));
        assert_eq!(Jws::parse(&unsigned).err(), Some(JwsError::Algorithm), "{alg:?}");
        let signed = refusal_of_header(&format!(r#"{{"alg":"{alg}"}}"#));
        assert_eq!(signed, Some(JwsError::Algorithm), "{alg:?} with a signature");
    }
}

#[test]
fn a_missing_alg_is_refused() {
    assert_eq!(refusal_of_header("{}"), Some(JwsError::Algorithm));
    assert_eq!(refusal_of_header(r#"{"typ":"JWT","ALG":"EdDSA"}"#), Some(JwsError::Algorithm));
}

#[test]
fn an_alg_that_is_not_a_string_is_refused() {
    for alg in ["null", "0", "true", r#"["EdDSA"]"#, r#"{"name":"EdDSA"}"#] {
        let header = format!(r#"{{"alg":{alg}}}"#);
        assert_eq!(refusal_of_header(&header), Some(JwsError::Algorithm), "{alg}");
    }
}

#[test]
fn alg_is_case_sensitive() {
    for alg in ["eddsa", "EDDSA", "es256", "Es256", "rs256", "EdDSA ", " ES256", "ES256\\n"] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        assert_eq!(refusal_of_header(&header), Some(JwsError::Algorithm), "{alg}");
    }
}

#[test]
fn algorithms_beyond_the_five_are_refused() {
    for alg in [
        "HS256",
        "HS384",
        "HS512",
        "RS384",
        "RS512",
        "PS384",
        "PS512",
        "ES512",
        "ES256K",
        "Ed448",
        "ML-DSA-44",
        "RSA1_5",
        "RSA-OAEP-256",
        "PBES2-HS256+A128KW",
        "dir",
        "A256GCM",
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    ] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        assert_eq!(refusal_of_header(&header), Some(JwsError::Algorithm), "{alg}");
    }
}

#[test]
fn an_empty_signature_does_not_verify() {
    for (algorithm, key) in every_algorithm() {
        let header = base64url::encode(format!(r#"{{"alg":"{algorithm}"}}"#).as_bytes());
        let token = format!("{header}.{}.", base64url::encode(PAYLOAD));
        let verified = Jws::parse(&token).unwrap().verify(key.public_key());
        assert_eq!(verified.map(drop), Err(BadSignature), "{algorithm}");
    }
}

#[test]
fn a_mac_under_the_public_key_is_no_signature() {
    for key in [ed25519(1), ec_p256(), ec_p384(), rsa()] {
        let public = key.public_key();
        let jwk = Value::Object(public.to_jwk()).to_string();
        let spellings = [public.to_spki_pem().into_bytes(), public.to_spki_der(), jwk.into_bytes()];
        for secret in spellings {
            for mac in ["HS256", "HS384", "HS512"] {
                let token = mac_token(&secret, mac);
                assert_eq!(Jws::parse(&token).err(), Some(JwsError::Algorithm), "{mac}");
            }
            let token = mac_token(&secret, key.algorithm().name());
            let verified = Jws::parse(&token).unwrap().verify(public);
            assert_eq!(verified.map(drop), Err(BadSignature), "{}", key.algorithm());
        }
    }
}

#[test]
fn an_algorithm_of_another_key_does_not_verify() {
    for (algorithm, key) in every_algorithm() {
        let signed_with = |alg: Algorithm| {
            let input = format!(
                "{}.{}",
                base64url::encode(format!(r#"{{"alg":"{alg}"}}"#).as_bytes()),
                base64url::encode(PAYLOAD)
            );
            let signature = key.sign(algorithm, input.as_bytes()).unwrap();
            format!("{input}.{}", base64url::encode(&signature))
        };
        for alg in Algorithm::ALL {
            let token = signed_with(alg);
            let verified = Jws::parse(&token).unwrap().verify(key.public_key()).map(drop);
            let expected = if alg == algorithm { Ok(()) } else { Err(BadSignature) };
            assert_eq!(verified, expected, "{alg} in the header of an {algorithm} signature");
        }
    }
}

#[test]
fn a_jwk_that_names_its_algorithm_verifies_no_other() {
    let (key, header) = (rsa(), object(json!({})));
    let mut jwk = key.public_key().to_jwk();
    jwk.insert("alg".to_owned(), "PS256".into());
    let narrowed = PublicKey::from_jwk(&jwk, &crate::keys::KeyPolicy::default()).unwrap();
    for (algorithm, expected) in [(Algorithm::Ps256, Ok(())), (Algorithm::Rs256, Err(BadSignature))]
    {
        let token = sign(&key, algorithm, &header, &header).unwrap();
        let verified = Jws::parse(&token).unwrap().verify(&narrowed).map(drop);
        assert_eq!(verified, expected, "{algorithm}");
    }
}

#[test]
fn every_crit_is_refused() {
    for crit in [
        r#"["exp"]"#,
        r#"["b64"]"#,
        r#"["http://example.invalid/UNDEFINED"]"#,
        r#"["alg"]"#,
        r#"["typ","kid"]"#,
        r#"["b64","b64"]"#,
        r#"["missing-from-the-header"]"#,
        "[]",
        "[7]",
        "[null]",
        "{}",
        r#""b64""#,
        "null",
        "true",
    ] {
        let header = format!(r#"{{"alg":"EdDSA","b64":true,"exp":1,"crit":{crit}}}"#);
        assert_eq!(refusal_of_header(&header), Some(JwsError::Critical), "{crit}");
        let header = format!(r#"{{"alg":"EdDSA","crit":{crit}}}"#);
        assert_eq!(refusal_of_header(&header), Some(JwsError::Critical), "{crit}");
    }
}

#[test]
fn b64_is_refused_with_and_without_crit() {
    for header in [
        r#"{"alg":"EdDSA","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"EdDSA","b64":false}"#,
        r#"{"alg":"EdDSA","b64":true}"#,
        r#"{"alg":"EdDSA","b64":"false"}"#,
        r#"{"alg":"EdDSA","b64":null}"#,
    ] {
        assert_eq!(refusal_of_header(header), Some(JwsError::Critical), "{header}");
    }
}

fn mac_token(secret: &[u8], alg: &str) -> String {
    let mac = match alg {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let input = format!(
        "{}.{}",
        base64url::encode(format!(r#"{{"alg":"{alg}"}}"#).as_bytes()),
        base64url::encode(PAYLOAD)
    );
    let tag = hmac::sign(&hmac::Key::new(mac, secret), input.as_bytes());
    format!("{input}.{}", base64url::encode(tag.as_ref()))
}

#[test]
fn an_ecdsa_signature_in_der_is_called_that() {
    let token = |alg: &str, signature: &[u8]| {
        let header = base64url::encode(format!(r#"{{"alg":"{alg}"}}"#).as_bytes());
        format!("{header}.e30.{}", base64url::encode(signature))
    };
    let der = [&[0x30, 68][..], &[2; 68]].concat();
    for alg in ["ES256", "ES384"] {
        assert_eq!(Jws::parse(&token(alg, &der)).err(), Some(JwsError::DerSignature), "{alg}");
    }
    assert!(Jws::parse(&token("EdDSA", &der)).is_ok(), "is wrong, but not because of that");
    let fixed = [&[0x30, 62][..], &[2; 62]].concat();
    assert!(Jws::parse(&token("ES256", &fixed)).is_ok(), "64 bytes are r and s");
    let told = JwsError::DerSignature.to_string();
    assert!(told.contains("DER") && told.contains("64 bytes"), "{told}");
}

#[test]
fn a_nested_jwt_is_refused() {
    for cty in ["JWT", "jwt"] {
        let header = format!(r#"{{"alg":"EdDSA","cty":"{cty}"}}"#);
        assert_eq!(refusal_of_header(&header), Some(JwsError::Nested), "{cty}");
    }
    let other = base64url::encode(br#"{"alg":"EdDSA","cty":"json"}"#);
    assert!(Jws::parse(&format!("{other}.e30.AA")).is_ok());
}
