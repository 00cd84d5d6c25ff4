//! Whatever a keyring says, what is read of it keeps the rules of its form, and is written as it was read.
#![no_main]

use std::collections::HashSet;

use countersign_protocol::keyring_document::{KeyringDocument, MAX_SLOTS};
use countersign_protocol::strict::json;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(members) = json::parse_object(input) else { return };
    let Ok(document) = KeyringDocument::from_members(members.clone()) else { return };
    assert!((1..=MAX_SLOTS).contains(&document.slots.len()));
    let ids: HashSet<_> = document.slots.iter().map(|slot| slot.id).collect();
    assert_eq!(ids.len(), document.slots.len());
    assert_eq!(KeyringDocument::from_members(document.to_members()), Ok(document));
});
