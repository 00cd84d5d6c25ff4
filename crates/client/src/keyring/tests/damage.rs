//! Files that are not, or no longer, good keyrings. None of them opens and none of them changes.

use proptest::prelude::*;

use super::*;

/// What opening a file with this content says. The file must be as it was afterwards.
fn refusal_of(content: &[u8]) -> KeyringError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, content).unwrap();
    let refusal = Keyring::open(&path, &passphrase(PYTHON_PASSPHRASE), random()).err();
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    refusal.expect("the file must not open")
}

fn altered(from: &str, to: &str) -> KeyringError {
    let text = str::from_utf8(PYTHON).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    refusal_of(text.replace(from, to).as_bytes())
}

#[test]
fn other_files_are_not_keyrings() {
    assert!(matches!(refusal_of(b""), KeyringError::Empty));
    for other in [
        &b"x"[..],
        b"\0",
        b"\x89PNG\r\n\x1a\n",
        b"{}",
        b"[]",
        b"null",
        b"{\"format\":1}",
        b"{\"format\":\"another\",\"version\":1}",
        b"-----BEGIN PRIVATE KEY-----\n",
        b"{\"format\":\"another\"",
    ] {
        assert!(matches!(refusal_of(other), KeyringError::NotAKeyring), "{other:?}");
    }
}

#[test]
fn every_part_of_a_file_is_too_little() {
    for length in 1..PYTHON.len() {
        let refused = Envelope::parse(&PYTHON[..length]).err().unwrap();
        let fits = match length {
            ..31 => matches!(refused, KeyringError::NotAKeyring),
            // The end of the inner object looks like an end.
            126 => matches!(refused, KeyringError::Damaged(_)),
            _ => matches!(refused, KeyringError::Truncated),
        };
        assert!(fits, "{length}: {refused}");
    }
}

#[test]
fn a_newer_version_says_so_whatever_else_it_has() {
    let newer = altered(r#""version":1,"#, r#""version":2,"more":[],"#);
    assert!(matches!(newer, KeyringError::NewerVersion(2)));
    for odd in ["0", "-1", "1.0", "\"1\"", "null", "18446744073709551616"] {
        let refused = altered(r#""version":1"#, &format!(r#""version":{odd}"#));
        assert!(matches!(refused, KeyringError::Damaged(_)), "{odd}: {refused}");
    }
}

#[test]
fn the_form_is_strict() {
    let end = "Ljo\"}";
    let cases = [
        // Members twice, once under another spelling, unknown, missing, of another type.
        (r#""p":2,"#, r#""p":2,"p":2,"#),
        (r#""cipher":"A256GCM""#, r#""cipher":"A256GCM","cipher":"A256GCM""#),
        (r#""cipher":"A256GCM""#, r#""cipher":"A256GCM","\u0063ipher":"A256GCM""#),
        (r#""p":2,"#, r#""p":2,"more":0,"#),
        (r#""cipher":"A256GCM""#, r#""cipher":"A256GCM","more":0"#),
        (r#""p":2,"#, ""),
        (r#""cipher":"A256GCM","#, ""),
        (r#""t":2"#, r#""t":"2""#),
        (r#""t":2"#, r#""t":2.0"#),
        (r#""t":2"#, r#""t":-2"#),
        (r#""m_kib":8192"#, r#""m_kib":4294967296"#),
        (r#""cipher":"A256GCM""#, r#""cipher":null"#),
        // Other algorithms.
        (r#""argon2id""#, r#""argon2i""#),
        (r#""A256GCM""#, r#""A128GCM""#),
        // Base64url of other lengths and in other spellings.
        ("AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0O"),
        ("AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0ODw=="),
        ("AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0ODx"),
        ("AAECAwQFBgcICQoLDA0ODw", ""),
        ("ZGVmZ2hpamtsbW5v", "ZGVmZ2hpamtsbW5vcA"),
        ("ZGVmZ2hpamtsbW5v", "ZGVmZ2hpamtsbW+v"),
        (end, "Ljo \"}"),
        // More after the end.
        (end, "Ljo\"}}"),
        (end, "Ljo\"}{}"),
    ];
    for (from, to) in cases {
        let refused = altered(from, to);
        assert!(matches!(refused, KeyringError::Damaged(_)), "{from} -> {to}: {refused}");
    }
    let marked = [b"\xef\xbb\xbf", PYTHON].concat();
    assert!(matches!(refusal_of(&marked), KeyringError::NotAKeyring));
}

#[test]
fn the_cost_is_bounded_before_any_memory_is_spent() {
    let cases = [
        (r#""t":2"#, r#""t":0"#),
        (r#""t":2"#, r#""t":17"#),
        (r#""t":2"#, r#""t":4294967295"#),
        (r#""m_kib":8192"#, r#""m_kib":8191"#),
        (r#""m_kib":8192"#, r#""m_kib":0"#),
        (r#""m_kib":8192"#, r#""m_kib":1048577"#),
        (r#""m_kib":8192"#, r#""m_kib":4294967295"#),
        (r#""p":2"#, r#""p":0"#),
        (r#""p":2"#, r#""p":17"#),
        (r#""p":2"#, r#""p":4294967295"#),
    ];
    for (from, to) in cases {
        let refused = altered(from, to);
        assert!(matches!(refused, KeyringError::Cost(_)), "{to}: {refused}");
    }
    assert_eq!(
        altered(r#""m_kib":8192"#, r#""m_kib":4194304"#).to_string(),
        "the keyring file is refused: the memory in KiB for Argon2id is 4194304, \
         which is not between 8192 and 1048576"
    );
    let (passes, memory, lanes) = (KdfCost::PASSES, KdfCost::MEMORY_KIB, KdfCost::LANES);
    assert!(KdfCost::new(passes.0, memory.0, lanes.0).is_ok());
    assert!(KdfCost::new(passes.1, memory.1, lanes.1).is_ok());
    assert_eq!(KdfCost::default(), KdfCost::new(3, 65536, 1).unwrap());
}

#[test]
fn the_header_is_authenticated_even_against_the_right_key() {
    let text = str::from_utf8(PYTHON).unwrap();
    let original = Envelope::parse(PYTHON).unwrap();
    let key = original.derivation().derive(&passphrase(PYTHON_PASSPHRASE)).unwrap();
    assert!(original.open(&key).is_ok());
    for (from, to) in [
        (r#""t":2"#, r#""t":3"#),
        (r#""m_kib":8192"#, r#""m_kib":8193"#),
        (r#""p":2"#, r#""p":1"#),
        ("AAECAwQFBgcICQoLDA0ODw", "ABECAwQFBgcICQoLDA0ODw"),
        ("ZGVmZ2hpamtsbW5v", "ZGVmZ2hpamtsbW5w"),
    ] {
        assert_eq!(text.matches(from).count(), 1);
        let envelope = Envelope::parse(text.replace(from, to).as_bytes()).unwrap();
        assert!(
            matches!(envelope.open(&key), Err(KeyringError::WrongPassphraseOrDamaged)),
            "{from} -> {to}"
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let original = Envelope::parse(PYTHON).unwrap();
    let key = original.derivation().derive(&passphrase(PYTHON_PASSPHRASE)).unwrap();
    for position in 0..PYTHON.len() {
        for bit in 0..8 {
            let mut flipped = PYTHON.to_vec();
            flipped[position] ^= 1 << bit;
            let opened = Envelope::parse(&flipped).and_then(|envelope| envelope.open(&key));
            assert!(opened.is_err(), "bit {bit} of byte {position}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_byte_opens(position in 0..PYTHON.len(), change in 1..=255_u8) {
        let mut changed = PYTHON.to_vec();
        changed[position] ^= change;
        refusal_of(&changed);
    }

    #[test]
    fn no_other_bytes_open(content in prop::collection::vec(any::<u8>(), 0..300)) {
        refusal_of(&content);
    }
}

/// What opening says when the content, though well sealed, is this one.
fn content_refusal(content: &str) -> String {
    let (keyring, _directory, path) = keyring();
    let nonce = random_bytes(&*random());
    let derivation = keyring.derivation.clone();
    let sealed = Envelope::seal(derivation, &keyring.key, nonce, content.as_bytes());
    fs::write(&path, sealed.to_text()).unwrap();
    match open(&path).err() {
        Some(refusal @ KeyringError::Content(_)) => refusal.to_string(),
        other => panic!("{other:?} for {content}"),
    }
}

#[test]
fn sealed_content_is_read_strictly_and_never_quoted() {
    let good = r#"{"name":"a","url":"u","username":"n","clientSidePrivateKey":"find-me","clientSidePublicKey":"k","createdAt":1}"#;
    let unknown = good.replace("\"url\"", "\"more\":\"find-me\",\"url\"");
    let twice = good.replace("\"url\":\"u\"", "\"url\":\"u\",\"url\":\"u\"");
    let mistyped = good.replace("\"createdAt\":1", "\"createdAt\":\"find-me\"");
    let unnamed = good.replace("\"name\":\"a\"", "\"name\":\"\"");
    for content in [
        String::new(),
        "{}".to_owned(),
        "[{}]".to_owned(),
        format!("[{good}]x"),
        format!("[{good},{good}]"),
        format!("[{unknown}]"),
        format!("[{twice}]"),
        format!("[{mistyped}]"),
        format!("[{unnamed}]"),
    ] {
        let refusal = content_refusal(&content);
        assert!(!refusal.contains("find-me"), "{refusal}");
    }
}
