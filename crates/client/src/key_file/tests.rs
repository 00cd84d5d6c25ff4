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
fn an_encrypted_key_of_openssh_needs_its_passphrase() {
    for (_, encrypted, public) in VECTORS {
        assert_eq!(read_private_key(encrypted, None).err(), Some(KeyError::PassphraseNeeded));
        let wrong = read_private_key(encrypted, Some("wrong")).err();
        assert_eq!(wrong, Some(KeyError::WrongPassphrase));
        let key = read_private_key(encrypted, Some("countersign")).unwrap();
        assert_eq!(key.public_key().thumbprint().to_string(), thumbprint(public));
    }
}

#[test]
fn other_kinds_and_damaged_files_of_openssh_are_refused() {
    let p521 = read_private_key(file!("ecdsa-521"), None).err();
    assert_eq!(p521, Some(KeyError::OpenSshUnreadable));
    let (plain, ..) = VECTORS[0];
    let text = str::from_utf8(plain).unwrap();
    let damaged = text.replace("b3BlbnNz", "b3BlbnNa");
    let error = read_private_key(damaged.as_bytes(), None).err();
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
