//! Keyrings as their users meet them. What must not happen to the file is in the submodules.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{KeyPolicy, NewKey, PrivateKey};
use countersign_protocol::strict::json;
use tempfile::TempDir;

use super::*;
use crate::testing::{CountingRandom, NOW};
use crate::token::{AccessToken, SavedToken};

mod damage;
mod writers;

/// The least that is accepted.
const CHEAP: KdfCost = match KdfCost::new(1, KdfCost::MEMORY_KIB.0, 1) {
    Ok(cost) => cost,
    Err(_) => panic!(),
};

const ISSUER: &str = "https://auth.example";

/// Written by another implementation (Python `cryptography`), with t = 2, m = 8 MiB, p = 2.
const PYTHON: &[u8] = include_bytes!("tests/python.keyring");
const PYTHON_PASSPHRASE: &str = "correct horse é";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn random() -> Arc<dyn Random> {
    Arc::new(CountingRandom::default())
}

fn open(path: &Path) -> Result<Keyring, KeyringError> {
    Keyring::open(path, &passphrase("secret"), random())
}

/// A new keyring, its directory and its path.
fn keyring() -> (Keyring, TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let keyring = Keyring::create(&path, &passphrase("secret"), CHEAP, random()).unwrap();
    (keyring, directory, path)
}

fn entry(name: &str) -> Entry {
    let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
    Entry::new(name.parse().unwrap(), ISSUER, "toto", &key, NOW)
}

fn names(keyring: &Keyring) -> Vec<&str> {
    keyring.entries().iter().map(|entry| entry.name().as_str()).collect()
}

fn saved_token(text: &str) -> SavedToken {
    SavedToken {
        token: AccessToken::new(text.to_owned()).unwrap(),
        expires_at: UnixTime::from_secs(2_000_000_300),
        nonces: vec![(ISSUER.to_owned(), "n-1".to_owned())],
        resource: None,
        scope: Some("read".to_owned()),
    }
}

fn saved_token_for(resource: &str, text: &str) -> SavedToken {
    SavedToken { resource: Some(resource.to_owned()), ..saved_token(text) }
}

#[test]
fn each_resource_has_a_token_of_its_own() {
    let (mut keyring, _directory, path) = keyring();
    keyring.add(entry("a")).unwrap();
    let change = |entry: &mut Entry| {
        entry.set_token(&saved_token("own"));
        for number in 0..=Entry::MAX_RESOURCE_TOKENS {
            entry.set_token(&saved_token_for(&format!("https://api{number}"), "old"));
            entry.set_token(&saved_token_for(&format!("https://api{number}"), "new"));
        }
    };
    keyring.update("a", change).unwrap();
    let keyring = open(&path).unwrap();
    let entry = keyring.get("a").unwrap();
    assert_eq!(entry.token().unwrap().token.expose(), "own");
    let token = entry.token_for("https://api1").unwrap();
    assert_eq!((token.token.expose(), token.resource.as_deref()), ("new", Some("https://api1")));
    assert_eq!(token.nonces, saved_token("new").nonces);
    assert_eq!(token.scope.as_deref(), Some("read"));
    assert_eq!(entry.token().unwrap().scope.as_deref(), Some("read"));
    assert!(entry.token_for("https://api0").is_none(), "the oldest made room");
    assert_eq!(entry.tokens().count(), 1 + Entry::MAX_RESOURCE_TOKENS);
}

#[test]
fn what_is_put_in_comes_out_after_reopening() {
    let policy = KeyPolicy::default();
    let (mut keyring, _directory, path) = keyring();
    let keys: Vec<_> = [NewKey::Ed25519, NewKey::EcP256, NewKey::EcP384, NewKey::Rsa2048]
        .into_iter()
        .map(|kind| PrivateKey::generate(kind).unwrap())
        .collect();
    for (i, key) in keys.iter().enumerate() {
        let name = format!("Gerät {i}").parse().unwrap();
        keyring.add(Entry::new(name, ISSUER, "toto", key, NOW)).unwrap();
    }
    let change = |entry: &mut Entry| {
        entry.set_account_id("0189");
        entry.set_server_side_public_key(keys[1].public_key());
        entry.set_token(&saved_token("aaa.bbb"));
    };
    keyring.update("Gerät 0", change).unwrap();

    let reopened = open(&path).unwrap();
    assert_eq!(names(&reopened), ["Gerät 0", "Gerät 1", "Gerät 2", "Gerät 3"]);
    for (entry, key) in reopened.entries().iter().zip(&keys) {
        assert_eq!((entry.url(), entry.username()), (ISSUER, "toto"));
        assert_eq!(entry.created_at(), NOW);
        let thumbprint = key.public_key().thumbprint();
        assert_eq!(entry.public_key(&policy).unwrap().thumbprint(), thumbprint);
        let private = entry.private_key(&policy).unwrap();
        let signature = private.sign(private.algorithm(), b"m").unwrap();
        key.public_key().verify(private.algorithm(), b"m", &signature).unwrap();
    }
    let first = reopened.get("Gerät 0").unwrap();
    assert_eq!(first.account_id(), Some("0189"));
    let server_key = first.server_side_public_key(&policy).unwrap().unwrap();
    assert_eq!(server_key.thumbprint(), keys[1].public_key().thumbprint());
    let token = first.token().unwrap();
    assert_eq!(token.token.expose(), "aaa.bbb");
    assert_eq!(token.expires_at, UnixTime::from_secs(2_000_000_300));
    assert_eq!(token.nonces, [(ISSUER.to_owned(), "n-1".to_owned())]);

    let second = reopened.get("Gerät 1").unwrap();
    assert!(second.account_id().is_none() && second.token().is_none());
    assert!(second.server_side_public_key(&policy).unwrap().is_none());
}

#[test]
fn entries_are_renamed_changed_and_removed() {
    let (mut keyring, _directory, path) = keyring();
    for name in ["a", "b", "c"] {
        keyring.add(entry(name)).unwrap();
    }
    keyring.rename("b", "d".parse().unwrap()).unwrap();
    keyring.remove("a").unwrap();
    keyring.update("d", |entry| entry.set_token(&saved_token("t"))).unwrap();
    keyring.update("d", |entry| entry.set_token(&saved_token_for("https://api", "t"))).unwrap();
    keyring.update("d", Entry::forget_tokens).unwrap();
    for keyring in [&keyring, &open(&path).unwrap()] {
        assert_eq!(names(keyring), ["d", "c"]);
        assert_eq!(keyring.get("d").unwrap().tokens().count(), 0);
        assert!(keyring.get("b").is_none());
    }
}

#[test]
fn names_are_unique_and_must_exist() {
    let (mut keyring, _directory, path) = keyring();
    keyring.add(entry("a")).unwrap();
    keyring.add(entry("b")).unwrap();
    let before = fs::read(&path).unwrap();

    let taken = keyring.add(entry("a")).unwrap_err();
    assert_eq!(
        taken.to_string(),
        "the keyring already has an entry named a: name this one otherwise"
    );
    let taken = keyring.rename("a", "b".parse().unwrap()).unwrap_err();
    assert!(matches!(taken, KeyringError::NameTaken(_)));
    let missing = |result: Result<(), KeyringError>| {
        assert!(matches!(result, Err(KeyringError::NoSuchEntry(name)) if name == "x"));
    };
    missing(keyring.rename("x", "y".parse().unwrap()));
    missing(keyring.remove("x"));
    missing(keyring.update("x", |_| panic!("there is nothing to change")));

    assert_eq!(names(&keyring), ["a", "b"]);
    assert!(before == fs::read(&path).unwrap());
}

#[test]
fn a_name_can_be_shown_and_typed() {
    let longest = "ä".repeat(EntryName::MAX_CHARS);
    let numbered = longest.parse::<EntryName>().unwrap().numbered(12);
    assert_eq!(numbered.as_str().parse::<EntryName>().unwrap(), numbered, "it is not too long");
    assert!(numbered.as_str().ends_with("ä-12"));
    for good in ["a", "work laptop", "钥匙", &longest] {
        assert_eq!(good.parse::<EntryName>().unwrap().as_str(), good);
    }
    let too_long = format!("{longest}ä");
    for bad in ["", " ", " a", "a ", "a\nb", "a\u{1b}[31m", "a\0", &too_long] {
        assert_eq!(bad.parse::<EntryName>(), Err(EntryNameError), "{bad:?}");
    }
}

#[test]
fn only_the_right_passphrase_opens() {
    let (mut keyring, _directory, path) = keyring();
    keyring.add(entry("a")).unwrap();
    for wrong in ["Secret", "secret ", "secre", "x"] {
        let refused = Keyring::open(&path, &passphrase(wrong), random()).err().unwrap();
        assert_eq!(refused.to_string(), "wrong passphrase or damaged file");
    }
    assert!(open(&path).is_ok());
}

#[test]
fn a_new_passphrase_replaces_the_old_one() {
    let (mut keyring, _directory, path) = keyring();
    keyring.add(entry("a")).unwrap();
    let mut other = open(&path).unwrap();
    let salt_before = keyring.derivation.salt;

    let dearer = KdfCost::new(2, KdfCost::MEMORY_KIB.0, 2).unwrap();
    keyring.change_passphrase(&passphrase("new"), dearer).unwrap();
    keyring.add(entry("b")).unwrap();

    assert!(matches!(open(&path).err(), Some(KeyringError::WrongPassphraseOrDamaged)));
    let reopened = Keyring::open(&path, &passphrase("new"), random()).unwrap();
    assert_eq!(names(&reopened), ["a", "b"]);
    assert_eq!(reopened.derivation.cost, dearer);
    assert_ne!(reopened.derivation.salt, salt_before);

    let stale = other.add(entry("c")).unwrap_err();
    assert!(matches!(stale, KeyringError::PassphraseChanged));
    assert_eq!(names(&Keyring::open(&path, &passphrase("new"), random()).unwrap()), ["a", "b"]);
}

#[test]
fn another_implementation_agrees_on_the_format() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, PYTHON).unwrap();
    let keyring = Keyring::open(&path, &passphrase(PYTHON_PASSPHRASE), random()).unwrap();

    let entry = keyring.get("laptop").unwrap();
    let key = entry.private_key(&KeyPolicy::default()).unwrap();
    // The public key of thirty-two bytes 0x07 (RFC 8032 §5.1.5).
    let jwk = key.public_key().to_jwk();
    assert_eq!(jwk["x"], "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw");
    assert_eq!(entry.token().unwrap().token.expose(), "aaa.bbb.ccc");
    assert_eq!(Envelope::parse(PYTHON).unwrap().to_text().as_bytes(), PYTHON);
}

#[test]
fn the_content_has_the_members_of_the_login_information_object() {
    let (mut keyring, _directory, path) = keyring();
    let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
    let mut entry = Entry::new("a".parse().unwrap(), ISSUER, "toto", &key, NOW);
    entry.set_server_side_public_key(key.public_key());
    entry.set_token(&saved_token("aaa.bbb"));
    keyring.add(entry).unwrap();

    let envelope = Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    let content = json::parse(&envelope.open(&keyring.key).unwrap()).unwrap();
    let members: Vec<_> = content[0].as_object().unwrap().keys().map(String::as_str).collect();
    for name in [
        "url",
        "username",
        "clientSidePublicKey",
        "clientSidePrivateKey",
        "serverSidePublicKey",
        "jwtToken",
    ] {
        assert!(members.contains(&name), "{name} is not among {members:?}");
    }
}

#[test]
fn nothing_of_the_content_is_readable_in_the_file() {
    let (mut keyring, _directory, path) = keyring();
    let mut entry = entry("find-me-name");
    entry.set_token(&saved_token("find-me-token"));
    keyring.add(entry).unwrap();
    let file = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    for secret in ["find-me", "toto", ISSUER, "clientSide", "MC4CAQAwBQYDK2Vw"] {
        assert!(!file.contains(secret), "{secret}");
    }
}

#[test]
fn a_key_that_does_not_fit_its_public_half_is_not_used() {
    let policy = KeyPolicy::default();
    let (mut first, mut second) = (entry("a"), entry("b"));
    second.set_server_side_public_key(&first.public_key(&policy).unwrap());
    let swapped = encode(std::slice::from_ref(&second)).unwrap();
    let swapped = String::from_utf8(swapped.to_vec()).unwrap();
    let own = json::parse(swapped.as_bytes()).unwrap()[0]["clientSidePublicKey"].to_string();
    let foreign = json::parse(swapped.as_bytes()).unwrap()[0]["serverSidePublicKey"].to_string();
    first = decode(swapped.replace(&own, &foreign).as_bytes()).unwrap().remove(0);
    assert!(matches!(first.private_key(&policy), Err(EntryKeyError::Mismatch)));
}
