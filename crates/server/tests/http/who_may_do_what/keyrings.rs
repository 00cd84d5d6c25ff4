//! The online keyring of alice, and what is asked about it.

use countersign_authority::{
    model::{
        account::AccountName,
        audit::{AuditEvent, EventKind},
        keyring::{
            KeyringContent, KeyringPolicy, KnowledgeRecord, Leave, Opener, Revision, Slot, SlotId,
        },
    },
    ports::{NewContent, NewKeyring, NewSlot, Permit, Replaces},
};
use countersign_opaque::client::Registration;
use countersign_protocol::strict::base64url::encode;
use countersign_testkit::random::SeededRandom;
use serde_json::{Value, json};

use super::operations::Operation;
use crate::support::{PASSWORD, TestApp};

const SLOT: [u8; 16] = [1; 16];
const WRAPPED: [u8; 60] = [1; 60];
/// The nonce of the content that is sent, which none of those that are there has.
const NONCE: [u8; 12] = [3; 12];
const CIPHERTEXT: [u8; 20] = [1; 20];

/// The keyring that is there: its content, and one that is kept of before.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) earlier: u64,
    pub(super) present: u64,
}

/// Stores a keyring in place of the one that is there, whatever was done to that.
pub(super) async fn store_anew(app: &TestApp) -> Stored {
    let store = &*app.ports().store;
    let alice = AccountName::Username("alice".parse().unwrap());
    let account_id = store.account(&alice).await.unwrap().unwrap().id;
    let KeyringPolicy { keeping, growth, .. } = KeyringPolicy::default();
    let event = |kind| AuditEvent::new(app.now(), kind).account(account_id);
    if let Some(there) = store.keyring(account_id).await.unwrap() {
        let deleted = event(EventKind::KeyringDeleted);
        store
            .delete_keyring(account_id, there.revision, deleted, Permit::ADMINISTRATOR)
            .await
            .unwrap();
    }
    let slot = Slot { id: SlotId::from_bytes(SLOT), opener: Opener::Password, wrapped: WRAPPED };
    let record = KnowledgeRecord { user: [1; 32], record: vec![1; 192] };
    let content = |number| KeyringContent { nonce: [number; 12], ciphertext: CIPHERTEXT.to_vec() };
    let keyring = NewKeyring {
        account_id,
        replaces: Replaces::Nothing,
        slots: vec![NewSlot { slot, record: Some(record) }],
        content: content(1),
        keeping,
        growth,
        forgets_up_to: app.now(),
        event: event(EventKind::KeyringStored),
        permit: Permit::ADMINISTRATOR,
    };
    let Revision(earlier) = store.store_keyring(keyring).await.unwrap();
    let change = NewContent {
        account_id,
        replaces: Revision(earlier),
        content: content(2),
        keeping,
        growth,
        forgets_up_to: app.now(),
        leave: Leave::Lacking,
        event: event(EventKind::KeyringContentChanged),
        permit: Permit::ADMINISTRATOR,
    };
    let Revision(present) = store.change_keyring(change).await.unwrap();
    Stored { earlier, present }
}

/// The body with which `operation` is asked for, if it has one.
pub(super) fn body(operation: Operation) -> Option<Value> {
    match operation {
        Operation::OfferSlot => {
            let begun = Registration::begin(PASSWORD.as_bytes(), &SeededRandom::new(1));
            let (_, request) = begun.unwrap();
            Some(json!({ "kind": "password", "request": encode(&request) }))
        }
        Operation::ChangeContent => {
            Some(json!({ "nonce": encode(&NONCE), "ciphertext": encode(&CIPHERTEXT) }))
        }
        Operation::StoreKeyring => {
            let slot =
                json!({ "id": encode(&SLOT), "kind": "password", "wrapped": encode(&WRAPPED) });
            let document = json!({
                "format": "countersign-keyring",
                "version": 2,
                "slots": [slot],
                "cipher": "A256GCM",
                "nonce": encode(&NONCE),
                "ciphertext": encode(&CIPHERTEXT),
            });
            Some(json!({ "document": document, "records": [] }))
        }
        _ => None,
    }
}
