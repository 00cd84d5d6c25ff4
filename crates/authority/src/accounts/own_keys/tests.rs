//! Which keys a key has added.

use countersign_protocol::{UnixTime, keys::Thumbprint};
use countersign_testkit::{keys::ed25519_public, samples::account_id};

use super::*;

fn thumbprint(number: u64) -> Thumbprint {
    ed25519_public(number).thumbprint()
}

/// The key of that number, which the key `adder` has added.
fn key(number: u64, adder: Option<u64>, revoked: bool) -> Credential {
    let public_key = ed25519_public(number);
    let label = Label::of_kind(&public_key);
    let now = UnixTime::from_secs(number);
    Credential {
        added_by: adder.map(thumbprint),
        revoked_at: revoked.then_some(now),
        ..Credential::new(account_id(1), public_key, label, now)
    }
}

fn numbers(revoked: u64, keys: &[Credential]) -> Vec<u64> {
    let added = live_keys_added_by(thumbprint(revoked), keys);
    added.iter().map(|key| key.created_at.as_secs()).collect()
}

#[test]
fn keys_that_a_key_has_added_are_found_through_revoked_ones_too() {
    let keys = [
        key(1, None, false),
        key(2, Some(1), false),
        key(3, Some(2), true),
        key(4, Some(3), false),
        key(5, Some(2), false),
        key(6, None, false),
    ];
    assert_eq!(numbers(1, &keys), [2, 4, 5]);
    assert_eq!(numbers(2, &keys), [4, 5]);
    assert_eq!(numbers(3, &keys), [4]);
    assert_eq!(numbers(6, &keys), [0_u64; 0]);
}

#[test]
fn keys_that_have_added_each_other_are_each_found_once() {
    let keys = [key(1, Some(2), false), key(2, Some(1), false)];
    assert_eq!(numbers(1, &keys), [2]);
}
