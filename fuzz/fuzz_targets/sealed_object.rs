//! What opens is an object of exactly the members that it must have, as it was sealed; everything
//! else is one and the same error.
#![no_main]

use std::sync::LazyLock;

use countersign_protocol::envelope::aes_cbc_oaep::{self, OpeningKey, Sealed, SealedObject};
use countersign_protocol::keys::{KeyPolicy, PrivateKey};
use countersign_protocol::strict::{base64, json};

const MEMBERS: [&str; 3] = ["student_id", "passwd", "public_key"];
const DECOY: [u8; 16] = [9; 16];

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../corpus/private_key/rsa-2048.pkcs8");
    PrivateKey::from_pem(pem, &KeyPolicy::default()).expect("the corpus has a key")
});
static OPENING: LazyLock<OpeningKey> = LazyLock::new(|| {
    OpeningKey::from_pkcs8_der(&KEY.to_pkcs8_der()).ok().expect("it is an RSA key")
});

fn seal(text: &[u8]) -> Sealed {
    aes_cbc_oaep::seal(KEY.public_key(), text, [1; 16], [2; 16]).expect("it is an RSA key")
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // As what is sealed.
    let sealed = seal(input);
    let object = SealedObject { key: &sealed.key, iv: &sealed.iv, ciphertext: &sealed.ciphertext };
    let opened = OPENING.open(&object, MEMBERS, DECOY);
    let expected = json::parse_object(input).ok().filter(|object| {
        object.len() == MEMBERS.len()
            && MEMBERS.iter().all(|name| object.get(*name).is_some_and(|it| it.is_string()))
    });
    assert_eq!(opened.is_ok(), expected.is_some());
    if let (Ok(strings), Some(expected)) = (opened, expected) {
        for (name, string) in MEMBERS.iter().zip(strings) {
            assert_eq!(expected[*name], *string);
        }
    }
    // As each of the three texts that were sent.
    let bytes = base64::encode(input);
    let sent = std::str::from_utf8(input).unwrap_or(&bytes);
    for text in [sent, &bytes] {
        let _ = OPENING.open(&SealedObject { ciphertext: text, ..object }, MEMBERS, DECOY);
        let _ = OPENING.open(&SealedObject { iv: text, ..object }, MEMBERS, DECOY);
        assert!(OPENING.open(&SealedObject { key: text, ..object }, MEMBERS, DECOY).is_err());
    }
});
