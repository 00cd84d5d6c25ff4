//! What must hold for every key.

use proptest::prelude::*;

use super::*;

#[test]
fn keys_of_every_kind_survive_every_encoding() {
    let policy = KeyPolicy::default();
    let larger = [NewKey::Rsa3072, NewKey::Rsa4096].map(|kind| PrivateKey::generate(kind).unwrap());
    for key in KEYS.iter().chain(&larger) {
        let public = key.public_key();
        let texts = [
            Value::Object(public.to_jwk()).to_string(),
            public.to_spki_pem(),
            crate::strict::base64::encode(&public.to_spki_der()),
        ];
        for text in texts {
            let again = PublicKey::parse(&text, &policy).unwrap();
            assert_eq!(again.thumbprint(), public.thumbprint());
            assert_eq!(again.algorithms(), public.algorithms());
        }
        let pkcs8 = key.to_pkcs8_der();
        let again = PrivateKey::from_pkcs8_der(&pkcs8, &policy).unwrap();
        assert_eq!(again.public_key().thumbprint(), public.thumbprint());
        assert_eq!(again.to_pkcs8_der(), pkcs8);
        let pem = pem::encode("PRIVATE KEY", &pkcs8);
        let again = PrivateKey::from_pem(&pem, &policy).unwrap();
        assert_eq!(again.algorithm(), key.algorithm());
    }
}

fn flip(bytes: &mut [u8], bit: prop::sample::Index) {
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flipped_bit_anywhere_breaks_the_signature(
        message in prop::collection::vec(any::<u8>(), 1..64),
        in_signature: prop::sample::Index,
        in_message: prop::sample::Index,
    ) {
        for key in KEYS.iter() {
            for algorithm in key.public_key().algorithms() {
                let signature = key.sign(*algorithm, &message).unwrap();
                prop_assert_eq!(key.public_key().verify(*algorithm, &message, &signature), Ok(()));

                let mut changed = signature.clone();
                flip(&mut changed, in_signature);
                prop_assert!(key.public_key().verify(*algorithm, &message, &changed).is_err());
                let mut changed = message.clone();
                flip(&mut changed, in_message);
                prop_assert!(key.public_key().verify(*algorithm, &changed, &signature).is_err());
                for other in KEYS.iter().filter(|other| !std::ptr::eq(*other, key)) {
                    let result = other.public_key().verify(*algorithm, &message, &signature);
                    prop_assert_eq!(result, Err(BadSignature));
                }
            }
        }
    }

    #[test]
    fn a_public_key_is_one_spelling_of_one_key(bit: prop::sample::Index) {
        for key in KEYS.iter() {
            let mut der = key.public_key().to_spki_der();
            flip(&mut der, bit);
            if let Ok(other) = PublicKey::from_spki_der(&der, &KeyPolicy::default()) {
                prop_assert_ne!(other.thumbprint(), key.public_key().thumbprint());
                prop_assert_eq!(other.to_spki_der(), der);
                let jwk = PresentedJwk::read(&other.to_jwk()).unwrap();
                prop_assert_eq!(jwk.thumbprint(), other.thumbprint());
            }
        }
    }

    #[test]
    fn a_file_of_rfc_4716_has_one_key_whatever_its_headers_and_lines(
        tag in "[A-Za-z-]{1,64}",
        values in prop::collection::vec("( |[ -~]{0,60}[ -Z])", 0..4),
        width in 1..100_usize,
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
    ) {
        let x = KEYS[0].public_key().to_spki_der()[12..].to_vec();
        let blob = [b"\0\0\0\x0bssh-ed25519\0\0\0 ", x.as_slice()].concat();
        let base64 = crate::strict::base64::encode(&blob);
        let mut lines = vec!["---- BEGIN SSH2 PUBLIC KEY ----".to_owned()];
        if !values.is_empty() {
            lines.push(format!("{tag}: {}", values.join(&format!("\\{end}"))));
        }
        lines.extend(base64.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap().to_owned()));
        lines.push("---- END SSH2 PUBLIC KEY ----".to_owned());
        let key = PublicKey::parse(&lines.join(end), &KeyPolicy::default()).unwrap();
        prop_assert_eq!(key.thumbprint(), KEYS[0].public_key().thumbprint());
    }

    #[test]
    fn arbitrary_input_does_not_panic(text: String, bytes: Vec<u8>) {
        let policy = KeyPolicy::ANY;
        drop(PublicKey::parse(&format!("---- BEGIN SSH2 PUBLIC KEY ----\n{text}"), &policy));
        drop(PrivateKey::from_file(&bytes, &policy));
        drop(PrivateKey::from_file(text.as_bytes(), &policy));
        drop(PrivateKey::from_file(&[b"openssh-key-v1\0", bytes.as_slice()].concat(), &policy));
        drop(PublicKey::parse(&text, &policy));
        drop(PublicKey::from_spki_der(&bytes, &policy));
        drop(PrivateKey::from_pkcs8_der(&bytes, &policy));
        drop(PrivateKey::from_pem(&pem::encode("EC PRIVATE KEY", &bytes), &policy));
        drop(PrivateKey::from_pem(&pem::encode("RSA PRIVATE KEY", &bytes), &policy));
        drop(PublicKey::parse(&pem::encode("RSA PUBLIC KEY", &bytes), &policy));
    }
}
