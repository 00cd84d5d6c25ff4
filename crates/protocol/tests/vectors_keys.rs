//! Keys that OpenSSL and OpenSSH wrote, in every encoding, against JWKs and thumbprints that
//! another implementation computed (`vectors/keys/README.md`).

use countersign_protocol::keys::{Algorithm, KeyError, KeyPolicy, KeyType, PrivateKey, PublicKey};
use countersign_protocol::strict::{base64, base64url, json, pem};
use serde_json::{Map, Value};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../vectors/keys/", $name))
    };
}

struct Good {
    name: &'static str,
    key_type: KeyType,
    algorithms: &'static [Algorithm],
    public: &'static [&'static str],
    private: &'static [&'static str],
}

const RSA: &[Algorithm] = &[Algorithm::Rs256, Algorithm::Ps256];

const GOOD: [Good; 5] = [
    Good {
        name: "ed25519",
        key_type: KeyType::Ed25519,
        algorithms: &[Algorithm::EdDsa],
        public: &[file!("ed25519.spki.pem")],
        private: &[file!("ed25519.pkcs8.pem")],
    },
    Good {
        name: "p256",
        key_type: KeyType::EcP256,
        algorithms: &[Algorithm::Es256],
        public: &[file!("p256.spki.pem")],
        private: &[file!("p256.pkcs8.pem"), file!("p256.sec1.pem")],
    },
    Good {
        name: "p384",
        key_type: KeyType::EcP384,
        algorithms: &[Algorithm::Es384],
        public: &[file!("p384.spki.pem")],
        private: &[file!("p384.pkcs8.pem"), file!("p384.sec1.pem")],
    },
    Good {
        name: "rsa-2048",
        key_type: KeyType::Rsa,
        algorithms: RSA,
        public: &[file!("rsa-2048.spki.pem"), file!("rsa-2048.pkcs1-public.pem")],
        private: &[file!("rsa-2048.pkcs8.pem"), file!("rsa-2048.pkcs1.pem")],
    },
    Good {
        name: "rsa-3072",
        key_type: KeyType::Rsa,
        algorithms: RSA,
        public: &[file!("rsa-3072.spki.pem"), file!("rsa-3072.pkcs1-public.pem")],
        private: &[file!("rsa-3072.pkcs8.pem"), file!("rsa-3072.pkcs1.pem")],
    },
];

fn expected() -> Map<String, Value> {
    json::parse_object(file!("expected.json").as_bytes()).unwrap_or_default()
}

fn parse(text: &str) -> Result<PublicKey, KeyError> {
    PublicKey::parse(text, &KeyPolicy::default())
}

fn parse_private(text: &str) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pem(text, &KeyPolicy::default())
}

#[test]
fn every_encoding_of_a_public_key_gives_the_same_key() {
    let expected = expected();
    for good in GOOD {
        let jwk = &expected[good.name]["jwk"];
        let spki = pem::decode(good.public[0]).unwrap().der;
        let mut texts = vec![jwk.to_string(), base64::encode(&spki)];
        for pem in good.public {
            texts.push((*pem).to_owned());
            texts.push(pem.replace('\n', "\r\n"));
            texts.push(format!("\n  {}\n\n", pem.trim_end()));
        }
        for text in texts {
            let key = parse(&text).unwrap();
            assert_eq!(key.thumbprint().to_string(), expected[good.name]["thumbprint"]);
            assert_eq!(key.key_type(), good.key_type);
            assert_eq!(key.algorithms(), good.algorithms);
            assert_eq!(Value::Object(key.to_jwk()), *jwk);
            assert_eq!(key.to_spki_der(), *spki);
            assert_eq!(key.to_spki_pem(), good.public[0]);
            assert_eq!(format!("{key:?}"), format!("PublicKey({})", key.thumbprint()));
        }
    }
}

#[test]
fn every_encoding_of_a_private_key_signs_for_its_public_key() {
    let expected = expected();
    for good in GOOD {
        let public = parse(good.public[0]).unwrap();
        for text in good.private {
            let private = parse_private(text).unwrap();
            let thumbprint = private.public_key().thumbprint();
            assert_eq!(thumbprint.to_string(), expected[good.name]["thumbprint"]);
            assert_eq!(private.algorithm(), good.algorithms[0]);
            for algorithm in Algorithm::ALL {
                let signature = private.sign(algorithm, b"message");
                assert_eq!(signature.is_ok(), good.algorithms.contains(&algorithm));
                if let Ok(signature) = signature {
                    public.verify(algorithm, b"message", &signature).unwrap();
                }
            }
            // What OpenSSL writes as PKCS#8 is what is written here.
            let pkcs8 = pem::encode("PRIVATE KEY", &private.to_pkcs8_der());
            assert_eq!(pkcs8, good.private[0]);
        }
    }
}

#[test]
fn private_keys_in_place_of_public_ones() {
    for text in [
        file!("ed25519.pkcs8.pem"),
        file!("p256.pkcs8.pem"),
        file!("p256.sec1.pem"),
        file!("p256.encrypted.pem"),
        file!("p256.two-blocks.pem"),
        file!("rsa-2048.pkcs1.pem"),
        file!("rsa-2048.pkcs1-encrypted.pem"),
        file!("openssh-ed25519.pem"),
    ] {
        assert_eq!(parse(text).unwrap_err(), KeyError::PrivateKey);
    }
    for text in [file!("p256.pkcs8.pem"), file!("p256.sec1.pem"), file!("rsa-2048.pkcs1.pem")] {
        let der = base64::encode(&pem::decode(text).unwrap().der);
        assert_eq!(parse(&der).unwrap_err(), KeyError::PrivateKey);
    }
    let message = KeyError::PrivateKey.to_string();
    assert_eq!(message, "this is a private key; send the public half");
}

#[test]
fn other_things_in_place_of_public_keys() {
    let certificate = file!("p256.certificate.pem");
    let certificate_der = base64::encode(&pem::decode(certificate).unwrap().der);
    for (text, error) in [
        (certificate, KeyError::Certificate),
        (&certificate_der, KeyError::Certificate),
        (file!("p256.compressed.pem"), KeyError::CompressedPoint),
        (file!("p384.compressed.pem"), KeyError::CompressedPoint),
        (file!("p256.explicit.pem"), KeyError::ExplicitCurve),
        (file!("p384.explicit.pem"), KeyError::ExplicitCurve),
        (file!("secp256k1.spki.pem"), KeyError::UnsupportedCurve("secp256k1")),
        (file!("p521.spki.pem"), KeyError::UnsupportedCurve("P-521")),
        (file!("x25519.spki.pem"), KeyError::UnsupportedKeyType("X25519")),
        (file!("x448.spki.pem"), KeyError::UnsupportedKeyType("X448")),
        (file!("ed448.spki.pem"), KeyError::UnsupportedKeyType("Ed448")),
        (file!("rsa-pss.spki.pem"), KeyError::RsaPssRestricted),
        (file!("rsa-1024.spki.pem"), KeyError::RsaTooSmall { bits: 1024, min: 2048 }),
        (file!("rsa-512.spki.pem"), KeyError::RsaTooSmall { bits: 512, min: 2048 }),
        (file!("rsa-e3.spki.pem"), KeyError::RsaExponent),
        (file!("roca.json"), KeyError::RsaRoca),
        ("{\"keys\":[]}", KeyError::JwkSet),
        ("---- BEGIN SSH2 PUBLIC KEY ----", KeyError::OpenSshDamaged),
        ("AQID", KeyError::MalformedDer),
        ("", KeyError::Empty),
        ("bob", KeyError::Unrecognized),
    ] {
        assert_eq!(parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn other_things_in_place_of_private_keys() {
    for (text, error) in [
        (file!("p256.encrypted.pem"), KeyError::EncryptedPrivateKey),
        (file!("rsa-2048.pkcs1-encrypted.pem"), KeyError::EncryptedPem),
        (file!("openssh-ed25519.pem"), KeyError::OpenSshPrivateKey),
        (file!("p256.spki.pem"), KeyError::PublicKey),
        (file!("rsa-2048.pkcs1-public.pem"), KeyError::PublicKey),
        (file!("p256.certificate.pem"), KeyError::Certificate),
        (file!("p521.pkcs8.pem"), KeyError::UnsupportedCurve("P-521")),
        (file!("rsa-1024.pkcs8.pem"), KeyError::RsaTooSmall { bits: 1024, min: 2048 }),
        (file!("rsa-e3.pkcs8.pem"), KeyError::RsaExponent),
    ] {
        assert_eq!(parse_private(text).err(), Some(error), "{text}");
    }
    let spki = pem::decode(file!("p256.spki.pem")).unwrap().der;
    let error = PrivateKey::from_pkcs8_der(&spki, &KeyPolicy::default()).err();
    assert_eq!(error, Some(KeyError::PublicKey));
}

#[test]
fn a_lower_limit_admits_smaller_rsa_keys_with_fewer_algorithms() {
    let policy = KeyPolicy { min_rsa_bits: 512, ..KeyPolicy::default() };
    let key = |text| PublicKey::parse(text, &policy).unwrap();
    assert_eq!(key(file!("rsa-1024.spki.pem")).algorithms(), [Algorithm::Rs256]);
    assert_eq!(key(file!("rsa-512.spki.pem")).algorithms(), []);
    assert_eq!(key(file!("rsa-2048.spki.pem")).algorithms(), RSA);
    let policy = KeyPolicy { max_rsa_bits: 2048, ..KeyPolicy::default() };
    let error = PublicKey::parse(file!("rsa-3072.spki.pem"), &policy).unwrap_err();
    assert_eq!(error, KeyError::RsaTooLarge { bits: 3072, max: 2048 });
}

#[test]
fn every_cut_or_changed_spki_is_refused_or_another_key() {
    for good in GOOD {
        let der = pem::decode(good.public[0]).unwrap().der;
        let policy = KeyPolicy::default();
        let thumbprint = parse(good.public[0]).unwrap().thumbprint();
        for length in 0..der.len() {
            PublicKey::from_spki_der(&der[..length], &policy).unwrap_err();
        }
        let longer = [der.as_slice(), &[0]].concat();
        PublicKey::from_spki_der(&longer, &policy).unwrap_err();
        for index in 0..der.len() {
            let mut changed = der.to_vec();
            changed[index] ^= 1;
            if let Ok(other) = PublicKey::from_spki_der(&changed, &policy) {
                assert_ne!(other.thumbprint(), thumbprint);
                assert_eq!(other.to_spki_der(), changed);
            }
        }
    }
}

#[test]
fn cut_private_keys_are_refused() {
    let policy = KeyPolicy::default();
    for good in GOOD {
        let der = pem::decode(good.private[0]).unwrap().der;
        for length in 0..der.len() {
            assert!(PrivateKey::from_pkcs8_der(&der[..length], &policy).is_err());
        }
        let longer = [der.as_slice(), &[0]].concat();
        assert_eq!(
            PrivateKey::from_pkcs8_der(&longer, &policy).err(),
            Some(KeyError::MalformedDer)
        );
    }
}

/// Each of these verifies under RFC 8032's equation alone, as the library itself shows.
#[test]
fn ed25519_is_strict() {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    let vectors = json::parse_object(file!("ed25519-strict.json").as_bytes()).unwrap();
    let message = vectors["message"].as_str().unwrap().as_bytes();
    let mut lenient = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let x = case["key"].as_str().unwrap();
        let signature = base64url::decode(case["signature"].as_str().unwrap()).unwrap();
        let raw = UnparsedPublicKey::new(&ED25519, base64url::decode(x).unwrap());
        lenient += usize::from(raw.verify(message, &signature).is_ok());
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        match parse(&jwk) {
            Err(error) => {
                let expected = if name.contains("y = p") {
                    KeyError::NonCanonicalPoint
                } else {
                    KeyError::LowOrderPoint
                };
                assert!(name.starts_with('A'), "{name}");
                assert_eq!(error, expected, "{name}");
            }
            Ok(key) => {
                assert!(!name.starts_with('A'), "{name}");
                assert!(key.verify(Algorithm::EdDsa, message, &signature).is_err(), "{name}");
            }
        }
    }
    assert!(lenient >= 16, "{lenient}");
}
