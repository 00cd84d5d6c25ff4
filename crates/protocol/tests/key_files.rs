//! Key files of other programs (`vectors/key-files/README.md`). Each is read, or its refusal says what it
//! is and what to do about it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use countersign_protocol::keys::{KeyError, KeyPolicy, PrivateKey, PublicKey};
use countersign_protocol::strict::{base64, pem};

macro_rules! file {
    ($name:literal) => {
        &include_bytes!(concat!("../vectors/key-files/", $name))[..]
    };
}

macro_rules! pbes2 {
    ($name:literal) => {
        include_str!(concat!("../vectors/key-files/pbes2/", $name, ".pem"))
    };
}

const PLAIN: &str = include_str!("../vectors/keys/p256.pkcs8.pem");
const PASSPHRASE: &str = "countersign";

#[track_caller]
fn refusal(content: &[u8]) -> KeyError {
    PrivateKey::from_file(content, &KeyPolicy::default()).err().unwrap()
}

fn open(content: &[u8], passphrase: &str) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_encrypted_file(content, passphrase, &KeyPolicy::default())
}

#[test]
fn formats_of_other_programs_are_named() {
    let sizes = KeyError::RsaTooSmall { bits: 1024, min: 2048 };
    for (content, error) in [
        (file!("p256.p12"), KeyError::Pkcs12),
        (file!("java.jks"), KeyError::JavaKeystore),
        (file!("java.jceks"), KeyError::JavaKeystore),
        (file!("pgp-private.asc"), KeyError::OpenPgp),
        (file!("pgp-public.asc"), KeyError::OpenPgp),
        (file!("pgp-private.gpg"), KeyError::OpenPgp),
        (file!("pgp-public.gpg"), KeyError::OpenPgp),
        (file!("pgp.kbx"), KeyError::OpenPgp),
        (file!("rsa-2048.sshcom"), KeyError::SshComPrivateKey),
        (file!("ed25519.ppk"), KeyError::PuttyPrivateKey),
        (file!("p256-encrypted.ppk"), KeyError::PuttyPrivateKey),
        (file!("p521.ppk"), KeyError::UnsupportedCurve("P-521")),
        (file!("rsa-1024.ppk"), sizes),
        (b"\x30\x80\x02\x01\x03\x30\x80", KeyError::Pkcs12),
        (b"\x00\x01binary", KeyError::Utf16),
        (b"\x00\x00\x00binary", KeyError::Unrecognized),
        (b"\x7fELF\x02\x01\x01\x00\x00", KeyError::Unrecognized),
    ] {
        assert_eq!(refusal(content), error);
    }
    for content in [file!("p256.p12"), file!("java.jks"), file!("pgp-private.gpg")] {
        assert_eq!(refusal(base64::encode(content).as_bytes()), refusal(content));
    }
}

#[test]
fn a_private_key_of_another_program_is_no_public_key() {
    for (content, error) in [
        (file!("ed25519.ppk"), KeyError::PrivateKey),
        (file!("rsa-2048.sshcom"), KeyError::PrivateKey),
        (file!("pgp-public.asc"), KeyError::OpenPgp),
        (file!("openssh-p521"), KeyError::PrivateKey),
    ] {
        let text = str::from_utf8(content).unwrap();
        assert_eq!(PublicKey::parse(text, &KeyPolicy::default()).unwrap_err(), error);
    }
}

#[test]
fn a_key_of_openssh_that_cannot_be_used_is_refused_before_its_passphrase_is_asked_for() {
    for (content, error) in [
        (file!("openssh-p521"), KeyError::UnsupportedCurve("P-521")),
        (file!("openssh-p521-encrypted"), KeyError::UnsupportedCurve("P-521")),
        (file!("openssh-rsa-1024-encrypted"), KeyError::RsaTooSmall { bits: 1024, min: 2048 }),
        (file!("openssh-dsa"), KeyError::UnsupportedKeyType("DSA")),
        (file!("openssh-3des"), KeyError::OpenSshCipher),
    ] {
        assert_eq!(refusal(content), error);
    }
    let text = include_str!("../../client/vectors/openssh/ed25519-encrypted");
    let file = pem::decode(text).unwrap().der;
    // The rounds stand after magic, cipher, name of the KDF, and the length of its options with the salt.
    // Behind them are the number of keys and the public half.
    let again = |file: &[u8]| refusal(pem::encode("OPENSSH PRIVATE KEY", file).as_bytes());
    assert_eq!(again(&file), KeyError::OpenSshPrivateKey);
    let rounds = 15 + (4 + 10) + (4 + 6) + 4 + (4 + 16);
    for length in 0..rounds + 4 + 4 + (4 + 51) {
        assert_eq!(again(&file[..length]), KeyError::OpenSshUnreadable, "{length}");
    }
    let mut costly = file.to_vec();
    costly[rounds..rounds + 4].copy_from_slice(&4097_u32.to_be_bytes());
    assert_eq!(again(&costly), KeyError::OpenSshTooCostly { rounds: 4097, max: 4096 });
    costly[rounds..rounds + 4].copy_from_slice(&4096_u32.to_be_bytes());
    assert_eq!(again(&costly), KeyError::OpenSshPrivateKey);
}

#[test]
fn an_encrypted_pkcs8_opens_with_its_passphrase_in_every_form() {
    let expected = PrivateKey::from_pem(PLAIN, &KeyPolicy::default()).unwrap();
    for text in [
        pbes2!("aes-128-hmac-sha1"),
        pbes2!("aes-192-hmac-sha1"),
        pbes2!("aes-256-hmac-sha1"),
        pbes2!("aes-256-hmac-sha256"),
        pbes2!("aes-256-hmac-sha384"),
        pbes2!("aes-256-hmac-sha512"),
    ] {
        let der = pem::decode(text).unwrap().der;
        for content in [text.as_bytes(), &der, base64::encode(&der).as_bytes()] {
            assert_eq!(refusal(content), KeyError::EncryptedPrivateKey);
            let key = open(content, PASSPHRASE).unwrap();
            assert_eq!(key.to_pkcs8_der(), expected.to_pkcs8_der());
        }
        assert_eq!(
            PrivateKey::from_pkcs8_der(&der, &KeyPolicy::default()).err(),
            Some(refusal(&der))
        );
    }
    assert!(open(PLAIN.as_bytes(), "any").is_ok(), "a key that is not encrypted needs none");
}

#[test]
fn a_wrong_passphrase_is_told_whatever_it_leaves() {
    let text = pbes2!("aes-256-hmac-sha1");
    // Some of them leave a padding that is right by chance.
    for attempt in 0..600 {
        let error = open(text.as_bytes(), &attempt.to_string()).err();
        assert_eq!(error, Some(KeyError::WrongPassphrase), "{attempt}");
    }
}

#[test]
fn other_encryption_is_refused_before_the_passphrase_is_asked_for() {
    let too_costly = KeyError::Pbkdf2TooCostly { iterations: 10_000_001, max: 10_000_000 };
    for (text, error) in [
        (pbes2!("des3"), KeyError::UnsupportedEncryption),
        (pbes2!("scrypt"), KeyError::UnsupportedEncryption),
        (pbes2!("pbes1"), KeyError::UnsupportedEncryption),
        (pbes2!("aes-256-hmac-sha224"), KeyError::UnsupportedEncryption),
        (pbes2!("iterations-10000001"), too_costly),
        (include_str!("../vectors/keys/rsa-2048.pkcs1-encrypted.pem"), KeyError::EncryptedPem),
    ] {
        assert_eq!(refusal(text.as_bytes()), error);
        assert_eq!(open(text.as_bytes(), PASSPHRASE).err(), Some(error));
    }
}

#[test]
fn an_encrypted_pkcs8_that_is_cut_or_changed_opens_to_no_other_key() {
    let expected = PrivateKey::from_pem(PLAIN, &KeyPolicy::default()).unwrap();
    let der = pem::decode(pbes2!("aes-128-hmac-sha1")).unwrap().der;
    for length in 0..der.len() {
        assert!(open(&der[..length], PASSPHRASE).is_err(), "{length}");
    }
    assert_eq!(open(&[&der[..], &[0]].concat(), PASSPHRASE).err(), Some(KeyError::MalformedDer));
    let iterations = der.windows(4).position(|bytes| bytes == [2, 2, 8, 0]).unwrap() + 2;
    for at in 0..der.len() {
        // More iterations only take time.
        if (iterations..iterations + 2).contains(&at) {
            continue;
        }
        let mut changed = der.to_vec();
        changed[at] ^= 1;
        // Nothing authenticates the ciphertext, and the version in it means nothing.
        if let Ok(key) = open(&changed, PASSPHRASE) {
            assert_eq!(key.to_pkcs8_der(), expected.to_pkcs8_der(), "{at}");
        }
    }
    let mut none = der.to_vec();
    none[iterations..iterations + 2].fill(0);
    assert_eq!(open(&none, PASSPHRASE).err(), Some(KeyError::MalformedDer));
}
