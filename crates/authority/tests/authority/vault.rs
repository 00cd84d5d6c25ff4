//! The master key: how it is written, what it opens, and how it is changed.

use std::sync::Arc;

use countersign_authority::{
    keys::{
        SigningKeyError,
        rekey::{OldMasterKey, Rekey, RekeyError},
        signing::SigningKeys,
        vault::{EmptyMasterKey, MasterKey, Vault, VaultError},
    },
    model::{
        audit::EventKind,
        key_life::{KeySchedule, Schedule, Signs},
    },
    ports::VaultRecord,
};
use countersign_protocol::{
    envelope::aes_gcm::{RootKey, SecretBytes},
    strict::{base64, base64url},
};
use countersign_testkit::{random::SeededRandom, samples::NOW};

use crate::support::{CLOCK_TOLERANCE, KeyStore};

/// Bytes whose two forms of base64 differ.
const BYTES: [u8; 32] = [0xfb; 32];

fn parse(text: &str) -> MasterKey {
    MasterKey::parse(text).ok().unwrap()
}

async fn open(store: &KeyStore, master: &MasterKey) -> Result<Vault, VaultError> {
    Vault::open(store, master, &SeededRandom::new(1)).await
}

/// Whether both derive the same keys.
fn are_one(one: &Vault, other: &Vault) -> bool {
    let sealed = one.key("purpose").seal([1; 12], b"", b"text");
    other.key("purpose").open([1; 12], b"", &sealed).is_ok()
}

#[tokio::test]
async fn one_key_has_four_spellings() {
    let store = KeyStore::new();
    let hex = "fb".repeat(32);
    let vault = open(&store, &parse(&hex)).await.unwrap();
    let in_base64 = base64::encode(&BYTES);
    let in_base64url = base64url::encode(&BYTES);
    assert_ne!(in_base64.trim_end_matches('='), in_base64url);
    let in_lines = format!("  {in_base64}\n");
    for text in [hex.to_uppercase(), in_base64, in_base64url, in_lines] {
        assert!(are_one(&vault, &open(&store, &parse(&text)).await.unwrap()), "{text}");
    }
}

#[tokio::test]
async fn what_is_not_32_bytes_is_a_passphrase() {
    let store = KeyStore::new();
    let vault = open(&store, &parse("correct horse battery staple")).await.unwrap();
    let again = open(&store, &parse(" correct horse battery staple\n")).await.unwrap();
    assert!(are_one(&vault, &again));
    for wrong in ["Correct horse battery staple", "correct  horse battery staple"] {
        let error = open(&store, &parse(wrong)).await.err();
        assert!(matches!(error, Some(VaultError::WrongMasterKey)), "{wrong}");
    }
    // Nearly bytes: a digit more, a digit less, 31 bytes.
    for text in ["fb".repeat(32) + "f", "fb".repeat(31) + "f", base64::encode(&BYTES[..31])] {
        assert_eq!(*parse(&text).reveal(), text);
    }
}

#[tokio::test]
async fn a_passphrase_gives_every_installation_another_key() {
    let passphrase = parse("correct horse battery staple");
    let mut vaults = Vec::new();
    for seed in [1, 2] {
        let (store, random) = (KeyStore::new(), SeededRandom::new(seed));
        vaults.push(Vault::open(&*store, &passphrase, &random).await.unwrap());
    }
    assert!(!are_one(&vaults[0], &vaults[1]), "the salt is the vault's own");
}

#[test]
fn an_empty_text_is_no_key() {
    for text in ["", " ", "\n", "\t \r\n"] {
        assert_eq!(MasterKey::parse(text).err(), Some(EmptyMasterKey));
    }
}

#[tokio::test]
async fn what_is_revealed_reads_back_as_the_same_key() {
    let made = MasterKey::generate(&SeededRandom::new(3));
    assert_eq!(made.reveal().len(), 44);
    let typed = ["5e".repeat(32), "a passphrase".to_owned()].map(|text| parse(&text));
    for master in [made].into_iter().chain(typed) {
        let store = KeyStore::new();
        let vault = open(&store, &master).await.unwrap();
        assert!(are_one(&vault, &open(&store, &parse(&master.reveal())).await.unwrap()));
    }
    let one = MasterKey::generate(&SeededRandom::new(4)).reveal();
    assert_ne!(*one, *MasterKey::generate(&SeededRandom::new(5)).reveal());
}

#[tokio::test]
async fn another_key_does_not_open_the_vault() {
    let store = KeyStore::new();
    open(&store, &parse(&"5e".repeat(32))).await.unwrap();
    let before = store.record.lock().clone();
    for wrong in ["5f".repeat(32), "a passphrase".to_owned()] {
        let error = open(&store, &parse(&wrong)).await.err();
        assert!(matches!(error, Some(VaultError::WrongMasterKey)), "{wrong}: {error:?}");
    }
    assert_eq!(*store.record.lock(), before);
}

#[tokio::test]
async fn a_tampered_record_does_not_open() {
    let changes: [fn(&mut VaultRecord); 4] = [
        |record| record.salt[0] ^= 1,
        |record| record.nonce[0] ^= 1,
        |record| record.sealed_roots[0] ^= 1,
        |record| record.sealed_roots.clear(),
    ];
    for change in changes {
        let (store, master) = (KeyStore::new(), parse(&"5e".repeat(32)));
        open(&store, &master).await.unwrap();
        change(store.record.lock().as_mut().unwrap());
        let error = open(&store, &master).await.err();
        assert!(matches!(error, Some(VaultError::WrongMasterKey)), "{error:?}");
    }
}

#[tokio::test]
async fn two_first_starts_at_once_open_one_vault() {
    let (store, master) = (KeyStore::new(), parse("a passphrase"));
    let random = [SeededRandom::new(1), SeededRandom::new(2)];
    let (one, other) = tokio::join!(
        Vault::open(&*store, &master, &random[0]),
        Vault::open(&*store, &master, &random[1])
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(are_one(&one, &other));
    assert!(are_one(&one, &open(&store, &master).await.unwrap()));
}

#[tokio::test]
async fn of_two_first_starts_with_different_keys_one_is_refused() {
    let (store, random) = (KeyStore::new(), SeededRandom::new(1));
    let (mine, yours) = (parse(&"aa".repeat(32)), parse(&"bb".repeat(32)));
    let (one, other) =
        tokio::join!(Vault::open(&*store, &mine, &random), Vault::open(&*store, &yours, &random));
    let refused = [one.err(), other.err()];
    let wrong = |error: &&Option<_>| matches!(error, Some(VaultError::WrongMasterKey));
    assert_eq!(refused.iter().filter(wrong).count(), 1, "{refused:?}");
    assert_eq!(refused.iter().filter(|error| error.is_none()).count(), 1);
}

#[tokio::test]
async fn a_failing_store_makes_no_vault() {
    let (store, master) = (KeyStore::new(), parse(&"5e".repeat(32)));
    store.fail(true);
    assert!(matches!(open(&store, &master).await.err(), Some(VaultError::Store(_))));
    assert_eq!(*store.record.lock(), None);
}

const OLD: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";
const NEW: &str = "6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f";

/// A store with the master key [`OLD`], an active key and a retired one.
async fn installation() -> Arc<KeyStore> {
    let store = KeyStore::new();
    let keys = store.start(KeySchedule::default(), NOW).await.unwrap();
    keys.rotate(false, NOW, &SeededRandom::new(1)).await.unwrap();
    assert_eq!(store.rows.lock().len(), 2);
    store
}

async fn change(store: &KeyStore, old: &str, new: &str) -> Result<OldMasterKey, RekeyError> {
    let (old, new, random) = (parse(old), parse(new), SeededRandom::new(8));
    let rekey = Rekey { vaults: store, signing_keys: store, now: NOW, random: &random };
    rekey.change_master_key(&old, &new).await
}

async fn keys(store: &Arc<KeyStore>, vault: &Vault) -> Result<SigningKeys, SigningKeyError> {
    let (lives, random) = (KeySchedule::default(), SeededRandom::new(1));
    let (signs, tokens_live) = (Signs::AccessTokens, lives.keep_after);
    let clock_tolerance = CLOCK_TOLERANCE;
    let schedules = [Schedule { signs, lives, keep_expired: false, tokens_live, clock_tolerance }];
    SigningKeys::load(Arc::clone(store) as _, vault, schedules, NOW, &random).await
}

async fn jwks(store: &Arc<KeyStore>, master: &str) -> Result<serde_json::Value, SigningKeyError> {
    let vault = open(store, &parse(master)).await.unwrap();
    Ok(keys(store, &vault).await?.jwks(NOW))
}

#[tokio::test]
async fn changing_the_master_key_leaves_what_is_sealed_and_opens_it() {
    let store = installation().await;
    let before = jwks(&store, OLD).await.unwrap();
    let rows = store.rows.lock().clone();
    assert_eq!(change(&store, OLD, NEW).await.unwrap(), OldMasterKey::OpensNothing);
    assert_eq!(*store.rows.lock(), rows);

    assert_eq!(jwks(&store, NEW).await.unwrap(), before);
    let error = open(&store, &parse(OLD)).await.err();
    assert!(matches!(error, Some(VaultError::WrongMasterKey)));
    assert_eq!(store.count(EventKind::MasterKeyChanged), 1);
    let old = change(&store, NEW, "a passphrase").await.unwrap();
    assert_eq!(old, OldMasterKey::OpensNothing);
    assert_eq!(jwks(&store, "a passphrase").await.unwrap(), before);
}

/// What a failed change must leave as it was.
async fn is_untouched(store: &Arc<KeyStore>, change: impl AsyncFn() -> RekeyError) -> RekeyError {
    let record = store.record.lock().clone();
    let rows = store.rows.lock().clone();
    let error = change().await;
    assert_eq!(*store.record.lock(), record);
    assert_eq!(*store.rows.lock(), rows);
    assert_eq!(store.count(EventKind::MasterKeyChanged), 0);
    error
}

#[tokio::test]
async fn a_change_that_fails_changes_nothing() {
    let store = installation().await;
    let error = is_untouched(&store, async || change(&store, NEW, OLD).await.unwrap_err()).await;
    assert!(matches!(error, RekeyError::Vault(VaultError::WrongMasterKey)), "{error:?}");

    let error = is_untouched(&store, async || {
        store.fail(true);
        let error = change(&store, OLD, NEW).await.unwrap_err();
        store.fail(false);
        error
    });
    assert!(matches!(error.await, RekeyError::Store(_)));
    let error = is_untouched(&store, async || {
        store.fail_replacing(true);
        let error = change(&store, OLD, NEW).await.unwrap_err();
        store.fail_replacing(false);
        error
    });
    assert!(matches!(error.await, RekeyError::Store(_)));
    assert!(jwks(&store, OLD).await.is_ok(), "the old master key still works");
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_refused() {
    let store = installation().await;
    let third = "a third key, which is a passphrase";
    let (one, other) = tokio::join!(change(&store, OLD, NEW), change(&store, OLD, third));
    assert!(one.is_ok(), "{one:?}");
    assert!(matches!(other, Err(RekeyError::Stale)), "{other:?}");
    assert_eq!(store.count(EventKind::MasterKeyChanged), 1);
    assert!(open(&store, &parse(NEW)).await.is_ok() && open(&store, &parse(third)).await.is_err());
}

/// Who has the old master key and the database of that time can open what was sealed then, and nothing
/// that is sealed after a change.
#[tokio::test]
async fn what_is_sealed_after_a_change_does_not_follow_from_the_roots_of_before() {
    let store = installation().await;
    let stolen = open(&store, &parse(OLD)).await.unwrap();
    let of_before = store.rows.lock().clone();
    change(&store, OLD, NEW).await.unwrap();
    let vault = open(&store, &parse(NEW)).await.unwrap();
    assert!(!are_one(&stolen, &vault));
    let signing_keys = keys(&store, &vault).await.unwrap();
    signing_keys.rotate(false, NOW, &SeededRandom::new(2)).await.unwrap();
    let new: Vec<_> = store.rows.lock().iter().map(|key| key.kid).collect();
    let new = new.into_iter().filter(|kid| of_before.iter().all(|key| key.kid != *kid));
    assert_eq!(new.count(), 1);
    let error = keys(&store, &stolen).await.err();
    assert!(matches!(error, Some(SigningKeyError::Damaged(_))), "{error:?}");
}

/// A record as it was before the vault held roots of its own: made with the master key [`OLD`] by that
/// version of the program.
fn record_of_the_first_form() -> VaultRecord {
    let salt = [3; 16];
    let root = RootKey::new(SecretBytes::filled(|place| place.fill(0x5e)));
    let check = root.derive("vault check");
    let sealed_roots = check.seal([4; 12], &salt, b"countersign vault, version 1");
    VaultRecord { salt, nonce: [4; 12], sealed_roots }
}

#[tokio::test]
async fn a_vault_of_the_first_form_opens_and_outlives_a_change() {
    let store = KeyStore::new();
    *store.record.lock() = Some(record_of_the_first_form());
    let root = RootKey::new(SecretBytes::filled(|place| place.fill(0x5e)));
    let sealed = root.derive("purpose").seal([1; 12], b"", b"text");
    let vault = open(&store, &parse(OLD)).await.unwrap();
    assert!(vault.key("purpose").open([1; 12], b"", &sealed).is_ok());
    let wrong = open(&store, &parse(NEW)).await.err();
    assert!(matches!(wrong, Some(VaultError::WrongMasterKey)), "{wrong:?}");

    keys(&store, &vault).await.unwrap();
    let before = jwks(&store, OLD).await.unwrap();
    let old = change(&store, OLD, NEW).await.unwrap();
    assert_eq!(old, OldMasterKey::OpensWhatWasSealedBefore);
    assert_eq!(jwks(&store, NEW).await.unwrap(), before);
    assert!(open(&store, &parse(OLD)).await.is_err());
}

#[tokio::test]
async fn there_must_be_a_master_key_to_change() {
    let store = KeyStore::new();
    assert!(matches!(change(&store, OLD, NEW).await, Err(RekeyError::Empty)));
    assert_eq!(*store.record.lock(), None);
}
