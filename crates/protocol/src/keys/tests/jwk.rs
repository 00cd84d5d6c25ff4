//! Attacks on the JWK reader, by name.

use super::*;

#[test]
fn private_jwk_refused() {
    for key_type in ALL_TYPES {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert_eq!(refused(key_type, member, "AQAB"), KeyError::PrivateMember(member));
            assert_eq!(refused(key_type, member, Value::Null), KeyError::PrivateMember(member));
        }
    }
    let symmetric = json!({"kty": "oct"});
    let error = parse(symmetric.as_object().unwrap()).unwrap_err();
    assert_eq!(error, KeyError::UnsupportedKeyType("symmetric"));
}

#[test]
fn es256_key_with_p384_curve() {
    assert_eq!(refused(KeyType::EcP256, "crv", "P-384"), KeyError::WrongLength("x"));
    assert_eq!(refused(KeyType::EcP384, "crv", "P-256"), KeyError::WrongLength("x"));
    assert_eq!(refused(KeyType::EcP384, "alg", "ES256"), KeyError::AlgorithmMismatch);
    let p384 = &KEYS[2];
    let signature = p384.sign(Algorithm::Es384, b"m").unwrap();
    assert_eq!(p384.public_key().verify(Algorithm::Es256, b"m", &signature), Err(BadSignature));
    assert!(p384.sign(Algorithm::Es256, b"m").is_err());
}

#[test]
fn unknown_types_and_curves() {
    for (key_type, member, value, error) in [
        (KeyType::EcP256, "crv", "secp256k1", KeyError::UnsupportedCurve("secp256k1")),
        (KeyType::EcP256, "crv", "P-521", KeyError::UnsupportedCurve("P-521")),
        (KeyType::EcP256, "crv", "p-256", KeyError::UnknownCurve),
        (KeyType::EcP256, "crv", "Ed25519", KeyError::UnknownCurve),
        (KeyType::Ed25519, "crv", "X25519", KeyError::UnsupportedCurve("X25519")),
        (KeyType::Ed25519, "crv", "Ed448", KeyError::UnsupportedCurve("Ed448")),
        (KeyType::Ed25519, "crv", "P-256", KeyError::UnknownCurve),
        (KeyType::Ed25519, "kty", "okp", KeyError::UnknownKeyType),
        (KeyType::Rsa, "kty", "EC", KeyError::MissingMember("crv")),
        (KeyType::Rsa, "kty", "AKP", KeyError::UnsupportedKeyType("ML-DSA")),
    ] {
        assert_eq!(refused(key_type, member, value), error, "{value}");
    }
}

#[test]
fn required_members_missing_or_of_another_type() {
    for key_type in ALL_TYPES {
        let jwk = jwk_of(key_type);
        for name in jwk.keys() {
            let mut without = jwk.clone();
            without.remove(name);
            assert!(
                matches!(parse(&without), Err(KeyError::MissingMember(missing)) if missing == name)
            );
            for value in [Value::Null, json!(1), json!(["AQAB"]), json!({}), json!(true)] {
                assert!(matches!(refused(key_type, name, value), KeyError::MissingMember(_)));
            }
        }
    }
    assert_eq!(parse(&Map::new()).unwrap_err(), KeyError::MissingMember("kty"));
}

#[test]
fn second_spellings_of_a_member() {
    for (key_type, name) in [
        (KeyType::Ed25519, "x"),
        (KeyType::EcP256, "x"),
        (KeyType::EcP384, "y"),
        (KeyType::Rsa, "n"),
        (KeyType::Rsa, "e"),
    ] {
        let text = jwk_of(key_type)[name].as_str().unwrap().to_owned();
        for wrong in
            [format!("{text}="), format!(" {text}"), format!("{text}\n"), "+/+/".to_owned()]
        {
            let error = refused(key_type, name, wrong);
            assert!(matches!(error, KeyError::NotBase64Url(member) if member == name));
        }
        let bytes = base64url::decode(&text).unwrap();
        let padded = base64url::encode(&[&[0], bytes.as_slice()].concat());
        let error = refused(key_type, name, padded);
        let expected = match key_type {
            KeyType::Rsa => matches!(error, KeyError::LeadingZero(member) if member == name),
            _ => matches!(error, KeyError::WrongLength(member) if member == name),
        };
        assert!(expected, "{error:?}");
        let empty = refused(key_type, name, "");
        assert!(matches!(empty, KeyError::WrongLength(member) if member == name));
    }
    // 32 bytes without the unused bits of the last character set to zero.
    let x = jwk_of(KeyType::Ed25519)["x"].as_str().unwrap().to_owned();
    let last = x.chars().last().unwrap();
    let stray = char::from(u8::try_from(last).unwrap() + 1);
    assert_eq!(
        refused(KeyType::Ed25519, "x", format!("{}{stray}", &x[..42])),
        KeyError::NotBase64Url("x")
    );
}

#[test]
fn ec_coordinate_without_its_leading_zero() {
    let short = base64url::encode(&[0x7f; 31]);
    assert_eq!(refused(KeyType::EcP256, "x", short.clone()), KeyError::WrongLength("x"));
    assert_eq!(refused(KeyType::EcP256, "y", short), KeyError::WrongLength("y"));
}

#[test]
fn ec_point_off_the_curve() {
    for (key_type, length) in [(KeyType::EcP256, 32), (KeyType::EcP384, 48)] {
        let zero = base64url::encode(&vec![0; length]);
        // Not reduced: beyond the prime.
        let ones = base64url::encode(&vec![0xff; length]);
        for coordinates in [[&zero, &zero], [&ones, &ones], [&zero, &ones]] {
            let mut jwk = jwk_of(key_type);
            jwk.insert("x".to_owned(), coordinates[0].as_str().into());
            jwk.insert("y".to_owned(), coordinates[1].as_str().into());
            assert_eq!(parse(&jwk).unwrap_err(), KeyError::PointNotOnCurve);
        }
        let mut swapped = jwk_of(key_type);
        swapped["x"] = jwk_of(key_type)["y"].clone();
        swapped["y"] = jwk_of(key_type)["x"].clone();
        assert_eq!(parse(&swapped).unwrap_err(), KeyError::PointNotOnCurve);
    }
    let infinity = components::Components::ec_point(components::Curve::P256, &[0]);
    assert_eq!(infinity.unwrap_err(), KeyError::PointNotOnCurve);
}

#[test]
fn use_key_ops_and_alg_must_allow_verifying() {
    for key_type in ALL_TYPES {
        for wrong in [json!("enc"), json!("SIG"), json!(""), json!(["sig"]), Value::Null] {
            assert_eq!(refused(key_type, "use", wrong), KeyError::InvalidUse);
        }
        for wrong in [
            json!(["sign"]),
            json!([]),
            json!("verify"),
            json!(["verify", "verify"]),
            json!(["verify", 1]),
            json!(["Verify"]),
            Value::Null,
        ] {
            assert_eq!(refused(key_type, "key_ops", wrong), KeyError::InvalidKeyOps);
        }
        for wrong in [
            json!("none"),
            json!("HS256"),
            json!("RS512"),
            json!("PS384"),
            json!("ES512"),
            json!("ES256K"),
            json!("RSA-OAEP"),
            json!("es256"),
            json!("eddsa"),
            json!(["RS256"]),
            json!(1),
            Value::Null,
        ] {
            assert_eq!(refused(key_type, "alg", wrong), KeyError::AlgorithmMismatch);
        }
        let mut jwk = jwk_of(key_type);
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("key_ops".to_owned(), json!(["sign", "verify"]));
        jwk.insert("kid".to_owned(), json!(["not", "looked", "at"]));
        jwk.insert("x5c".to_owned(), json!([1]));
        jwk.insert("ext".to_owned(), json!(true));
        assert!(parse(&jwk).is_ok());
    }
}

#[test]
fn jwk_alg_narrows_the_key() {
    for (key_type, names) in [
        (KeyType::Ed25519, &["EdDSA", "Ed25519"][..]),
        (KeyType::EcP256, &["ES256"]),
        (KeyType::EcP384, &["ES384"]),
        (KeyType::Rsa, &["RS256", "PS256"]),
    ] {
        for name in names {
            let mut jwk = jwk_of(key_type);
            jwk.insert("alg".to_owned(), (*name).into());
            let algorithm = Algorithm::from_name(name).unwrap();
            assert_eq!(parse(&jwk).unwrap().algorithms(), [algorithm]);
        }
        for algorithm in Algorithm::ALL {
            if !names.contains(&algorithm.name()) {
                let error = refused(key_type, "alg", algorithm.name());
                assert_eq!(error, KeyError::AlgorithmMismatch);
            }
        }
    }
    // RS256 key, PS256 token.
    let rsa = &KEYS[3];
    let signature = rsa.sign(Algorithm::Ps256, b"m").unwrap();
    rsa.public_key().verify(Algorithm::Ps256, b"m", &signature).unwrap();
    let narrowed = rsa.public_key().restricted_to(Algorithm::Rs256).unwrap();
    assert_eq!(narrowed.verify(Algorithm::Ps256, b"m", &signature), Err(BadSignature));
    let widened = narrowed.restricted_to(Algorithm::Ps256);
    assert_eq!(widened.unwrap_err(), KeyError::AlgorithmMismatch);
}

#[test]
fn a_cached_key_is_as_good_as_a_parsed_one() {
    let policy = KeyPolicy::default();
    let jwk = jwk_of(KeyType::Rsa);
    let cached = parse(&jwk).unwrap();
    let with_alg = |alg: &str| {
        let mut jwk = jwk.clone();
        jwk.insert("alg".to_owned(), alg.into());
        jwk
    };
    let from_cache = |jwk: &Map<String, Value>, policy: &KeyPolicy, cached: &PublicKey| {
        let jwk = PresentedJwk::read(jwk).unwrap();
        PublicKey::from_presented(&jwk, Some(cached.clone()), policy)
    };
    let narrowed = from_cache(&with_alg("RS256"), &policy, &cached).unwrap();
    assert_eq!(narrowed.algorithms(), [Algorithm::Rs256]);
    // What another JWK said about the key does not stick.
    let widened = from_cache(&jwk, &policy, &narrowed).unwrap();
    assert_eq!(widened.algorithms(), cached.algorithms());
    let other = from_cache(&with_alg("PS256"), &policy, &narrowed).unwrap();
    assert_eq!(other.algorithms(), [Algorithm::Ps256]);
    // A cache that answers with another key is not believed.
    let wrong = from_cache(&jwk, &policy, KEYS[0].public_key()).unwrap();
    assert_eq!(wrong.thumbprint(), cached.thumbprint());
    // Nor does it get a key past a stricter policy.
    let strict = KeyPolicy { min_rsa_bits: 3072, ..policy };
    let error = from_cache(&jwk, &strict, &cached).unwrap_err();
    assert_eq!(error, KeyError::RsaTooSmall { bits: 2048, min: 3072 });
}

#[test]
fn weak_rsa_numbers() {
    let n = base64url::decode(jwk_of(KeyType::Rsa)["n"].as_str().unwrap()).unwrap();
    let mut even = n.clone();
    even[255] &= 0xfe;
    assert_eq!(refused(KeyType::Rsa, "n", base64url::encode(&even)), KeyError::RsaEvenModulus);
    let short = base64url::encode(&[0x7f, 1].repeat(128));
    assert_eq!(refused(KeyType::Rsa, "n", short), KeyError::RsaTooSmall { bits: 2047, min: 2048 });
    let huge = base64url::encode(&vec![0xff; 2048]);
    assert_eq!(
        refused(KeyType::Rsa, "n", huge.clone()),
        KeyError::RsaTooLarge { bits: 16384, max: 4096 }
    );
    let any = KeyPolicy { min_rsa_bits: 0, max_rsa_bits: u32::MAX, max_rsa_exponent: u64::MAX };
    let mut jwk = jwk_of(KeyType::Rsa);
    jwk.insert("n".to_owned(), huge.into());
    let error = PublicKey::from_jwk(&jwk, &any).unwrap_err();
    assert_eq!(error, KeyError::RsaTooLarge { bits: 16384, max: 8192 });

    // 1, 3, 65535, 65538, 2^33 + 1, 2^33 - 2, and nine bytes.
    for e in [
        &[1][..],
        &[3],
        &[0xff, 0xff],
        &[1, 0, 2],
        &[2, 0, 0, 0, 1],
        &[1, 0xff, 0xff, 0xff, 0xfe],
        &[1, 0, 0, 0, 0, 0, 0, 0, 1],
    ] {
        assert_eq!(refused(KeyType::Rsa, "e", base64url::encode(e)), KeyError::RsaExponent);
    }
}

#[test]
fn a_key_that_costs_more_to_verify_with_is_refused_and_can_still_be_read() {
    let mut modulus = vec![0xff; 513];
    modulus[512] = 0xfd;
    let mut large = jwk_of(KeyType::Rsa);
    large.insert("n".to_owned(), base64url::encode(&modulus).into());
    let mut slow = jwk_of(KeyType::Rsa);
    slow.insert("e".to_owned(), base64url::encode(&[1, 0xff, 0xff, 0xff, 0xff]).into());
    for (jwk, refusal) in
        [(large, KeyError::RsaTooLarge { bits: 4104, max: 4096 }), (slow, KeyError::RsaExponent)]
    {
        assert_eq!(parse(&jwk).unwrap_err(), refusal);
        let stored = PublicKey::from_jwk(&jwk, &KeyPolicy::ANY).unwrap();
        assert_eq!(stored.meets(&KeyPolicy::ANY), Ok(()));
        assert_eq!(stored.meets(&KeyPolicy::default()), Err(refusal));
        let presented = PresentedJwk::read(&jwk).unwrap();
        let known = Some(stored.clone());
        let again = PublicKey::from_presented(&presented, known, &KeyPolicy::default());
        assert_eq!(again.unwrap_err(), refusal, "that it is known lets nothing in");
    }
}
