//! The texts of keys that people send: what common tools write, and what editors, mails and environment
//! files make of it (`vectors/key-texts`). Each is taken, or its message names what it is.

use countersign_protocol::keys::{KeyError, KeyPolicy, PrivateKey, PublicKey};
use countersign_protocol::strict::{base64, pem};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../vectors/key-texts/", $name))
    };
}

fn parse(text: &str) -> Result<PublicKey, KeyError> {
    PublicKey::parse(text, &KeyPolicy::default())
}

fn parse_file(content: &[u8]) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_file(content, &KeyPolicy::default())
}

#[test]
fn pem_is_read_whatever_its_white_space_and_its_surroundings() {
    let key = parse(file!("pem-empty-line-inside.pem")).unwrap();
    for text in [
        file!("pem-space-after-begin.pem"),
        file!("pem-space-after-each-line.pem"),
        file!("pem-text-before.pem"),
        file!("pem-cr-only.pem"),
        file!("pem-bom.pem"),
        file!("pem-backslash-n.txt"),
        file!("pem-one-line.pem"),
        &key.to_spki_pem().replace('\n', "\n    "),
        &format!("'{}'", key.to_spki_pem()),
    ] {
        assert_eq!(parse(text).unwrap().thumbprint(), key.thumbprint(), "{text}");
    }
}

#[test]
fn the_content_of_a_block_counts_and_not_its_label() {
    for text in [
        file!("spki-as-rsa-public-key.pem"),
        file!("pkcs1-as-public-key.pem"),
        file!("spki-as-ec-public-key.pem"),
    ] {
        parse(text).unwrap();
    }
}

#[test]
fn base64_of_der_may_be_wrapped() {
    for text in [file!("der-base64-wrapped-64.txt"), file!("der-base64-mime-crlf.txt")] {
        parse(text).unwrap();
    }
    let pkcs1 = base64::encode(&pem::decode(file!("pkcs1-as-public-key.pem")).unwrap().der);
    parse(&pkcs1).unwrap();
}

#[test]
fn an_openssh_line_is_a_key() {
    let line = file!("openssh-ed25519.pub");
    let key = parse(line).unwrap();
    assert_eq!(parse(line.trim_end()).unwrap().thumbprint(), key.thumbprint());
    let kinds = [
        include_str!("../vectors/keys/openssh-ed25519.pub"),
        include_str!("../vectors/keys/openssh-ecdsa.pub"),
    ];
    for line in kinds {
        parse(line).unwrap();
        for cut in line.find(' ').unwrap()..line.rfind('=').unwrap_or(line.len() / 2) {
            assert_eq!(parse(&line[..cut]).unwrap_err(), KeyError::OpenSshDamaged, "{cut}");
        }
    }
    for (other, error) in [
        ("ssh-dss AAAAB3NzaC1kc3M=", KeyError::UnsupportedKeyType("DSA")),
        ("ecdsa-sha2-nistp521 AAAA", KeyError::UnsupportedCurve("P-521")),
        ("sk-ssh-ed25519@openssh.com AAAA", KeyError::OpenSshSecurityKey),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", KeyError::OpenSshCertificate),
        ("ssh-mldsa44 AAAA", KeyError::UnknownKeyType),
        ("ssh-rsa", KeyError::OpenSshDamaged),
        (&line.replace("ssh-ed25519", "ssh-rsa"), KeyError::OpenSshDamaged),
        ("ssh-", KeyError::UnknownKeyType),
    ] {
        assert_eq!(parse(other).unwrap_err(), error, "{other}");
    }
}

macro_rules! rfc4716 {
    ($name:literal) => {
        (
            include_str!(concat!("../vectors/rfc4716/", $name, ".pub")),
            include_str!(concat!("../../client/vectors/openssh/", $name, ".pub")),
        )
    };
}

#[test]
fn a_public_key_file_of_rfc_4716_is_a_key() {
    for (file, line) in
        [rfc4716!("ed25519"), rfc4716!("ecdsa-256"), rfc4716!("ecdsa-384"), rfc4716!("rsa-2048")]
    {
        let thumbprint = parse(line).unwrap().thumbprint();
        let long = format!("Comment: {}\\\nno colon here\nx-more: and another", "long ".repeat(9));
        for text in [
            file,
            &file.replace('\n', "\r\n"),
            &file.replace('\n', "\r"),
            &format!("\u{feff}\n{}\n", file.replace('\n', " \n")),
            &file.replace("Comment", &format!("{long}\nComment")),
            &file.lines().filter(|line| !line.contains(':')).collect::<Vec<_>>().join("\n"),
        ] {
            assert_eq!(parse(text).unwrap().thumbprint(), thumbprint, "{text}");
        }
        for length in file.find("AAAA").unwrap()..file.trim_end().len() {
            assert_eq!(parse(&file[..length]).unwrap_err(), KeyError::OpenSshDamaged, "{length}");
        }
        for wrong in [
            file.repeat(2),
            file.replace("AAAA", "AAAB"),
            file.replace("---- END", "header: too late\n---- END"),
            file.replace("END SSH2", "END"),
            format!("{file}more"),
        ] {
            assert_eq!(parse(&wrong).unwrap_err(), KeyError::OpenSshDamaged, "{wrong}");
        }
        assert_eq!(parse_file(file.as_bytes()).err(), Some(KeyError::PublicKey));
    }
    assert!(parse(include_str!("../vectors/rfc4716/putty-ed25519.pub")).is_ok());
    let p521 = parse(include_str!("../vectors/rfc4716/ecdsa-521.pub"));
    assert_eq!(p521.unwrap_err(), KeyError::UnsupportedCurve("P-521"));
}

#[test]
fn what_is_no_key_is_named() {
    let hexadecimal = |der: &[u8]| {
        let digits = der.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<Vec<_>>().concat()
    };
    let spki = parse(file!("pem-bom.pem")).unwrap().to_spki_der();
    for (text, error) in [
        (file!("der-base64url.txt"), KeyError::Base64UrlOfDer),
        (base64::encode(&spki).trim_end_matches('='), KeyError::Base64UrlOfDer),
        (file!("raw-ed25519-base64.txt"), KeyError::RawKey(32)),
        (&base64::encode(&spki[26..]), KeyError::RawKey(65)),
        (file!("base64-of-pem.txt"), KeyError::Base64OfPem),
        (&hexadecimal(&spki), KeyError::Hexadecimal),
        (file!("ec-explicit-parameters.pem"), KeyError::ExplicitCurve),
        (file!("ec-compressed.pem"), KeyError::CompressedPoint),
        (" \n", KeyError::Empty),
    ] {
        assert_eq!(parse(text).unwrap_err(), error, "{text}");
    }
    let hybrid = [&spki[..26], &[0x06 | (spki[spki.len() - 1] & 1)], &spki[27..]].concat();
    assert_eq!(parse(&base64::encode(&hybrid)).unwrap_err(), KeyError::HybridPoint);
}

#[test]
fn a_private_key_is_found_among_other_blocks_and_text() {
    for text in [file!("private-ecparam-genkey.pem"), file!("private-bag-attributes.pem")] {
        let key = parse_file(text.as_bytes()).unwrap();
        let der = parse_file(&key.to_pkcs8_der()).unwrap();
        assert_eq!(der.public_key().thumbprint(), key.public_key().thumbprint());
        let pkcs8 = base64::encode(&key.to_pkcs8_der());
        assert_eq!(
            parse_file(pkcs8.as_bytes()).unwrap().public_key().thumbprint(),
            key.public_key().thumbprint()
        );
        let twice = format!("{text}{text}");
        let error = parse_file(twice.as_bytes()).err();
        assert_eq!(error, Some(KeyError::Pem(pem::PemError::MoreThanOne)));
    }
}

#[test]
fn a_file_that_is_no_private_key_is_named() {
    let utf16 = include_bytes!("../vectors/key-texts/private-utf16le.pem");
    for (content, error) in [
        (&utf16[..], KeyError::Utf16),
        (&utf16[2..], KeyError::Utf16),
        (b"", KeyError::Empty),
        (file!("openssh-ed25519.pub").as_bytes(), KeyError::PublicKey),
        (file!("pem-bom.pem").as_bytes(), KeyError::PublicKey),
        (file!("private-openssh-ed25519.pem").as_bytes(), KeyError::OpenSshPrivateKey),
        (b"\xff\xfebroken", KeyError::Utf16),
        (b"caf\xe9", KeyError::Unrecognized),
    ] {
        assert_eq!(parse_file(content).err(), Some(error));
    }
}
