use serde_json::json;

use super::*;
use crate::{
    test_support::{NOW, ed25519, every_algorithm, object},
    tokens::verify::{AccessToken, AccessTokenError},
};

const ISSUER: &str = "https://auth.example";
const SKEW: Duration = Duration::from_secs(5);
const ACCOUNT: &str = "01234567-89ab-7000-8000-000000000000";

fn revocations() -> Revocations {
    Revocations {
        issuer: ISSUER.to_owned(),
        issued_at: NOW,
        expires_at: NOW + Duration::from_mins(1),
        sequence: Some(7),
        before: Some(NOW - Duration::from_hours(1)),
        keys_before: Some(NOW - Duration::from_hours(2)),
        tokens: vec!["token 1".to_owned(), "token 2".to_owned()],
        keys: vec![Thumbprint::from_bytes([7; 32])],
        accounts: vec![ACCOUNT.parse().unwrap()],
        accounts_before: vec![(ACCOUNT.parse().unwrap(), NOW - Duration::from_mins(1))],
    }
}

fn payload() -> Value {
    json!({
        "iss": ISSUER,
        "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 60,
        "seq": 7,
        "before": NOW.as_secs() - 3600,
        "keys_before": NOW.as_secs() - 7200,
        "tokens": ["token 1", "token 2"],
        "keys": [Thumbprint::from_bytes([7; 32])],
        "accounts": [ACCOUNT],
        "accounts_before": [[ACCOUNT, NOW.as_secs() - 60]],
    })
}

#[test]
fn members_are_written_in_alphabetical_order() {
    let key = ed25519(1);
    let header = object(json!({ "typ": REVOCATIONS_TYPE, "kid": key.public_key().thumbprint() }));
    let (mut least, mut least_payload) = (revocations(), object(payload()));
    (least.before, least.keys_before) = (None, None);
    least_payload.retain(|name, _| !["before", "keys_before"].contains(&name.as_str()));
    for (revocations, payload) in [(revocations(), object(payload())), (least, least_payload)] {
        assert_eq!(
            sign(&revocations, &key, Algorithm::EdDsa),
            jws::sign(&key, Algorithm::EdDsa, &header, &payload)
        );
    }
}

/// What becomes of a well-signed feed with this header and payload.
fn verdict(typ: &str, payload: Value, now: UnixTime) -> Result<Revocations, RevocationsError> {
    let key = ed25519(1);
    let header = object(json!({ "typ": typ }));
    let text = jws::sign(&key, key.algorithm(), &header, &object(payload)).unwrap();
    let feed = SignedRevocations::parse(&text).unwrap();
    feed.verify(key.public_key(), ISSUER, SKEW, now)
}

#[test]
fn what_was_signed_is_read_back_with_every_algorithm() {
    for (algorithm, key) in every_algorithm() {
        let text = sign(&revocations(), &key, algorithm).unwrap();
        let feed = SignedRevocations::parse(&text).unwrap();
        assert_eq!(feed.kid(), Some(key.public_key().thumbprint()));
        let read = feed.verify(key.public_key(), ISSUER, SKEW, NOW);
        assert_eq!(read, Ok(revocations()), "{algorithm}");
    }
}

#[test]
fn the_wire_format_is_as_documented() {
    assert_eq!(verdict(REVOCATIONS_TYPE, payload(), NOW), Ok(revocations()));
    let long = format!("application/{REVOCATIONS_TYPE}");
    assert_eq!(verdict(&long, payload(), NOW), Ok(revocations()));
}

#[test]
fn an_empty_feed_is_a_feed() {
    let mut payload = payload();
    for list in ["tokens", "keys", "accounts", "accounts_before"] {
        payload[list] = json!([]);
    }
    let payload = object(payload)
        .into_iter()
        .filter(|(name, _)| !name.ends_with("before") || name == "accounts_before");
    let payload = Value::Object(payload.collect());
    let read = verdict(REVOCATIONS_TYPE, payload, NOW).unwrap();
    assert!(read.tokens.is_empty() && read.keys.is_empty() && read.accounts.is_empty());
    assert_eq!((read.before, read.keys_before), (None, None));
}

#[test]
fn a_feed_of_an_older_server_has_no_sequence() {
    let mut payload = object(payload());
    payload.remove("seq");
    let read = verdict(REVOCATIONS_TYPE, Value::Object(payload), NOW);
    assert_eq!(read, Ok(Revocations { sequence: None, ..revocations() }));
}

#[test]
fn another_key_is_refused() {
    let text = sign(&revocations(), &ed25519(1), Algorithm::EdDsa).unwrap();
    let feed = SignedRevocations::parse(&text).unwrap();
    let read = feed.verify(ed25519(2).public_key(), ISSUER, SKEW, NOW);
    assert_eq!(read, Err(RevocationsError::Signature));
}

#[test]
fn no_other_kind_of_token_is_a_feed_and_no_feed_another_kind() {
    for typ in ["at+jwt", "JWT", "", "dpop+jwt", "countersign-revocations+jwt"] {
        assert_eq!(verdict(typ, payload(), NOW), Err(RevocationsError::Type), "{typ:?}");
    }
    let key = ed25519(1);
    let text = sign(&revocations(), &key, Algorithm::EdDsa).unwrap();
    let token = AccessToken::parse(&text).unwrap();
    let read = token.verify_as_issuer(key.public_key(), ISSUER, SKEW, NOW);
    assert_eq!(read, Err(AccessTokenError::Type));
}

#[test]
fn another_issuer_is_refused() {
    for issuer in ["https://auth.example/", "https://other.example", "HTTPS://auth.example"] {
        let mut payload = payload();
        payload["iss"] = json!(issuer);
        assert_eq!(verdict(REVOCATIONS_TYPE, payload, NOW), Err(RevocationsError::Issuer));
    }
}

#[test]
fn a_feed_counts_within_its_time_and_the_skew() {
    let at = |now| verdict(REVOCATIONS_TYPE, payload(), now).err();
    let end = NOW + Duration::from_mins(1) + SKEW;
    let millisecond = Duration::from_millis(1);
    assert_eq!(at(end - millisecond), None);
    assert_eq!(at(end), Some(RevocationsError::Expired));
    assert_eq!(at(NOW - SKEW), None);
    assert_eq!(at(NOW - SKEW - millisecond), Some(RevocationsError::FromTheFuture));
}

#[test]
fn every_claim_must_be_there_and_well_formed() {
    for name in ["iss", "iat", "exp", "tokens", "keys", "accounts", "accounts_before"] {
        let mut without = object(payload());
        without.remove(name);
        let verdict = verdict(REVOCATIONS_TYPE, Value::Object(without), NOW);
        assert_eq!(verdict, Err(ClaimError::Missing(name).into()));
    }
    let long = "x".repeat(513);
    for (name, wrong) in [
        ("tokens", json!("token 1")),
        ("tokens", json!({})),
        ("tokens", json!([""])),
        ("tokens", json!([long])),
        ("tokens", json!(["token 1", 2])),
        ("keys", json!(null)),
        ("keys", json!(["short"])),
        ("keys", json!([Thumbprint::from_bytes([7; 32]), null])),
        ("accounts", json!([ACCOUNT.to_uppercase()])),
        ("accounts", json!(["alice"])),
        ("accounts_before", json!([ACCOUNT])),
        ("accounts_before", json!([[ACCOUNT]])),
        ("accounts_before", json!([[ACCOUNT, null]])),
        ("accounts_before", json!([[ACCOUNT, 1, 2]])),
        ("before", json!("now")),
        ("keys_before", json!(-1)),
        ("seq", json!(1.5)),
        ("iat", json!("now")),
        ("exp", json!(-1)),
    ] {
        let mut payload = payload();
        payload[name] = wrong.clone();
        let verdict = verdict(REVOCATIONS_TYPE, payload, NOW);
        assert_eq!(verdict, Err(ClaimError::Malformed(name).into()), "{name}: {wrong}");
    }
}

#[test]
fn a_feed_may_be_longer_than_a_token_but_not_endless() {
    let keys = (0..40_000_u64).map(|n| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Thumbprint::from_bytes(bytes)
    });
    let many = Revocations { keys: keys.collect(), ..revocations() };
    let key = ed25519(1);
    let text = sign(&many, &key, Algorithm::EdDsa).unwrap();
    assert!(text.len() > jws::MAX_LEN);
    let feed = SignedRevocations::parse(&text).unwrap();
    assert_eq!(feed.verify(key.public_key(), ISSUER, SKEW, NOW), Ok(many));
    let endless = "A".repeat(MAX_LEN + 1);
    assert_eq!(SignedRevocations::parse(&endless).err(), Some(JwsError::TooLong));
}
