use super::*;

macro_rules! file {
    ($name:expr) => {
        include_bytes!(concat!("../../vectors/openssh/", $name))
    };
}

/// A private key, the same encrypted with the passphrase `countersign`, and its public half.
type Vector = (&'static [u8], &'static [u8], &'static [u8]);

macro_rules! vector {
    ($name:literal) => {
        (file!($name), file!(concat!($name, "-encrypted")), file!(concat!($name, ".pub")))
    };
}

const VECTORS: [Vector; 5] = [
    vector!("ed25519"),
    vector!("ecdsa-256"),
    vector!("ecdsa-384"),
    vector!("rsa-2048"),
    vector!("rsa-3072"),
];

fn refusal(content: &[u8], passphrase: Option<&str>) -> Option<KeyError> {
    read_private_key(content, passphrase).err().map(|KeyFileError(error)| error)
}

fn thumbprint(public: &[u8]) -> String {
    let text = str::from_utf8(public).unwrap();
    let key = countersign_protocol::keys::PublicKey::parse(text, &KeyPolicy::default());
    key.unwrap().thumbprint().to_string()
}

#[test]
fn a_key_of_openssh_signs_for_its_public_half() {
    for (plain, _, public) in VECTORS {
        let key = read_private_key(plain, None).unwrap();
        assert_eq!(key.public_key().thumbprint().to_string(), thumbprint(public));
        let signature = key.sign(key.algorithm(), b"message").unwrap();
        key.public_key().verify(key.algorithm(), b"message", &signature).unwrap();
    }
}

#[test]
fn a_byte_order_mark_before_a_key_of_openssh_means_nothing() {
    for (plain, encrypted, public) in VECTORS {
        for (content, passphrase) in [(plain, None), (encrypted, Some("countersign"))] {
            let marked = [b"\xef\xbb\xbf", content].concat();
            let key = read_private_key(&marked, passphrase).unwrap();
            assert_eq!(key.public_key().thumbprint().to_string(), thumbprint(public));
        }
    }
}

#[test]
fn a_key_of_openssh_is_read_whatever_its_lines_and_surroundings() {
    // Lines of 64 characters, and the second has ten bytes of padding.
    for putty in [&file!("putty-ed25519")[..], file!("putty-rsa-2048")] {
        assert!(read_private_key(putty, None).is_ok());
    }
    for (plain, _, public) in VECTORS {
        let text = str::from_utf8(plain).unwrap();
        for changed in [text.replace('\n', "\r\n"), format!("my key:\n\n{text}\n")] {
            let key = read_private_key(changed.as_bytes(), None).unwrap();
            assert_eq!(key.public_key().thumbprint().to_string(), thumbprint(public));
        }
    }
}

#[test]
fn padding_that_is_cut_or_changed_is_no_padding() {
    let text = str::from_utf8(file!("putty-rsa-2048")).unwrap();
    let file = pem::decode(text).unwrap().der;
    let mut shorter = file.to_vec();
    assert_eq!(shorten_padding(&mut shorter), Some(()));
    assert_eq!(shorter.len(), file.len() - 8);
    let again = shorter.clone();
    assert_eq!(shorten_padding(&mut shorter), Some(()));
    assert_eq!(shorter, again, "two bytes are left");
    for length in 0..file.len() {
        assert_eq!(shorten_padding(&mut file[..length].to_vec()), None, "{length}");
    }
    for at in file.len() - 10..file.len() {
        let mut changed = file.to_vec();
        changed[at] ^= 0x40;
        assert_eq!(shorten_padding(&mut changed), None, "{at}");
    }
}

#[test]
fn an_encrypted_key_of_openssh_needs_its_passphrase() {
    for (_, encrypted, public) in VECTORS {
        assert_eq!(refusal(encrypted, None), Some(KeyError::PassphraseNeeded));
        let wrong = refusal(encrypted, Some("wrong"));
        assert_eq!(wrong, Some(KeyError::WrongPassphrase));
        let key = read_private_key(encrypted, Some("countersign")).unwrap();
        assert_eq!(key.public_key().thumbprint().to_string(), thumbprint(public));
    }
}

#[test]
fn a_key_of_openssh_opens_under_every_cipher() {
    for encrypted in [
        &file!("cipher-aes128-cbc")[..],
        file!("cipher-aes192-cbc"),
        file!("cipher-aes256-cbc"),
        file!("cipher-aes128-ctr"),
        file!("cipher-aes192-ctr"),
        file!("cipher-aes128-gcm"),
        file!("cipher-aes256-gcm"),
        file!("cipher-chacha20-poly1305"),
    ] {
        assert_eq!(refusal(encrypted, None), Some(KeyError::PassphraseNeeded));
        assert!(read_private_key(encrypted, Some("countersign")).is_ok());
    }
}

#[test]
fn an_encrypted_pkcs8_needs_its_passphrase() {
    let encrypted = include_bytes!("../../../protocol/vectors/keys/p256.encrypted.pem");
    assert_eq!(refusal(encrypted, None), Some(KeyError::PassphraseNeeded));
    let wrong = refusal(encrypted, Some("wrong"));
    assert_eq!(wrong, Some(KeyError::WrongPassphrase));
    let plain = include_bytes!("../../../protocol/vectors/keys/p256.pkcs8.pem");
    let plain = read_private_key(plain, None).unwrap();
    let key = read_private_key(encrypted, Some("countersign")).unwrap();
    assert_eq!(key.public_key().thumbprint(), plain.public_key().thumbprint());
}

#[test]
fn other_kinds_and_damaged_files_of_openssh_are_refused() {
    let p521 = refusal(file!("ecdsa-521"), None);
    assert_eq!(p521, Some(KeyError::UnsupportedCurve("P-521")));
    let (plain, ..) = VECTORS[0];
    let text = str::from_utf8(plain).unwrap();
    let damaged = text.replace("b3BlbnNz", "b3BlbnNa");
    let error = refusal(damaged.as_bytes(), None);
    assert_eq!(error, Some(KeyError::OpenSshUnreadable));
}

#[test]
fn what_is_left_of_a_division_is_exact() {
    for number in [1_u64, 255, 256, 65_537, 0xdead_beef_0123, u64::MAX] {
        for prime in [3_u64, 257, 65_537, 0x1_0000_000f, u64::MAX - 58] {
            let bytes = |number: u64| {
                let bytes = number.to_be_bytes();
                bytes[bytes.iter().take_while(|byte| **byte == 0).count()..].to_vec()
            };
            let rest = modulo_predecessor(&bytes(number), &bytes(prime));
            assert_eq!(*rest, bytes(number % (prime - 1)), "{number} {prime}");
        }
    }
}

#[test]
fn advice_is_for_somebody_who_needs_a_private_key() {
    macro_rules! protocol {
        ($name:literal) => {
            include_bytes!(concat!("../../../protocol/vectors/", $name)).as_slice()
        };
    }
    let jwk_set = br#"{"keys":[]}"#.as_slice();
    let hexadecimal = [b'9'; 64];
    for (content, expected) in [
        (protocol!("keys/p256.certificate.pem"), "the file that the certificate was made with"),
        (b"".as_slice(), "the file is empty; a private key in PEM or DER"),
        (b"age-secret-key", "this is no private key of a form that is known here"),
        (hexadecimal.as_slice(), "hexadecimal digits; a private key"),
        (b"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "these 32 bytes are a bare key"),
        (b"-----BEGIN X-----\nAAAA\n-----END X-----", "such as PRIVATE KEY"),
        (jwk_set, "a single private JWK is needed"),
        (protocol!("keys/p256.spki.pem"), "this is a public key; the private key is needed here"),
    ] {
        let told = read_private_key(content, None).err().unwrap().to_string();
        assert!(told.contains(expected), "{told}");
        for public in ["send", "SubjectPublicKeyInfo", "-pubin", "-pubkey", "PUBLIC KEY"] {
            assert!(!told.contains(public), "{told}");
        }
    }
}
