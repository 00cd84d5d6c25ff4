//! What the replay log is told, and that nothing opens without it.

use super::*;
use crate::SpentReceipt;

fn entry(key: &PrivateKey, purpose: AssertionUse, draft: &Draft) -> ReplayEntry {
    let token = draft.sign(key);
    let presented = PresentedAssertion::parse(&token).unwrap();
    presented.verify(key.public_key(), &expected(purpose), NOW).unwrap().entry()
}

#[test]
fn one_assertion_is_one_use_whatever_for_and_whenever() {
    let draft = Draft::good();
    let first = draft.verify(AssertionUse::Grant, NOW).unwrap().entry();
    for purpose in BOTH_USES {
        for now in [NOW - SKEW, NOW, NOW + LIFETIME] {
            assert_eq!(draft.verify(purpose, now).unwrap().entry(), first);
        }
    }
}

#[test]
fn another_signature_of_the_same_claims_is_the_same_use() {
    let key = ec_p256();
    let draft = Draft::good();
    assert_ne!(draft.sign(&key), draft.sign(&key), "ECDSA draws a number for each signature");
    let first = entry(&key, AssertionUse::Grant, &draft);
    assert_eq!(entry(&key, AssertionUse::Grant, &draft), first);
}

#[test]
fn a_jti_counts_once_whatever_else_an_assertion_says() {
    let first = entry(&ed25519(1), AssertionUse::Grant, &Draft::good());
    for (claim, value) in [
        ("exp", json!((NOW + MAX_LIFETIME).as_secs())),
        ("iat", json!(NOW.as_secs())),
        ("aud", json!(TOKEN_ENDPOINT)),
        ("cnf", json!({ "jkt": ed25519(2).public_key().thumbprint().to_string() })),
    ] {
        let mut draft = Draft::good();
        draft.set(claim, value);
        let other = entry(&ed25519(1), AssertionUse::Grant, &draft);
        assert_eq!(other.digest, first.digest, "{claim}");
    }
}

#[test]
fn another_jti_or_another_key_is_another_use() {
    let first = entry(&ed25519(1), AssertionUse::Grant, &Draft::good());
    let other_key = entry(&ed25519(2), AssertionUse::Grant, &Draft::good());
    assert_ne!(other_key.digest, first.digest);
    for jti in ["assertion 2", "Assertion 1", "assertion 1 ", "assertion", "\u{1}assertion 1"] {
        let mut draft = Draft::good();
        draft.set("jti", json!(jti));
        let other = entry(&ed25519(1), AssertionUse::Grant, &draft);
        assert_ne!(other.digest, first.digest, "{jti:?}");
    }
}

#[test]
fn an_entry_is_kept_until_the_assertion_is_refused_for_its_age() {
    let draft = Draft::good();
    let forget_at = draft.verify(AssertionUse::Grant, NOW).unwrap().entry().forget_at;
    assert!(draft.verify(AssertionUse::Grant, forget_at - Duration::from_millis(1)).is_ok());
    let verdict = draft.verify(AssertionUse::Grant, forget_at).map(drop);
    assert_eq!(verdict, Err(AssertionError::Expired));
}

#[test]
fn it_opens_only_against_the_receipt_for_its_own_entry() {
    let good = || Draft::good().verify(AssertionUse::Grant, NOW).unwrap();
    let entry = good().entry();
    let opened = good().redeem(&SpentReceipt::recorded(entry));
    assert_eq!(opened.map(|assertion| assertion.subject).as_deref(), Some("alice"));
    let mut digest = entry.digest;
    digest[31] ^= 1;
    let forget_at = entry.forget_at + Duration::from_millis(1);
    for other in [ReplayEntry { digest, ..entry }, ReplayEntry { forget_at, ..entry }] {
        assert!(good().redeem(&SpentReceipt::recorded(other)).is_none());
    }
}
