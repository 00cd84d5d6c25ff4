//! Rules about what a handle is told of changes that another handle made.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use countersign_authority::{
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind},
    },
    ports::{ChangeCursor, Changed, Changes, NewAccount, Permit, SigningKeyChange},
};
use countersign_protocol::keys::Thumbprint;

use super::{Backend, Stores, at_once};
use crate::samples::{self, NOW, scopes, signing_key};

/// Each change by another handle is told to whoever asks, until he asks with the cursor that came with it.
pub async fn every_change_by_others_is_told(backend: &impl Backend) {
    let (ours, theirs) = (backend.open().await, backend.open().await);
    let new = samples::new_account(1, "alice");
    let (key, id) = (new.credential.thumbprint(), new.id);
    let has_key = |told: &Changed| told.keys.iter().any(|told| told.thumbprint == key);
    let mut cursor = ours.cursor().await;

    theirs.create(&new).await;
    ours.is_told(&mut cursor, "a registration", has_key).await;

    let event = || samples::event(EventKind::AccountScopesChanged);
    theirs.replace_scopes(id, &new.scopes, &scopes("read"), event()).await.unwrap();
    ours.is_told(&mut cursor, "scopes", |told| told.accounts.contains(&id)).await;
    for status in [AccountStatus::Disabled, AccountStatus::Active] {
        theirs.set_status(id, status, event()).await.unwrap();
        ours.is_told(&mut cursor, "a status", |told| told.accounts.contains(&id)).await;
    }

    let token = samples::revoked_token("token-1", NOW + Duration::from_mins(1));
    theirs.revoke_token(token.clone(), samples::event(EventKind::TokenRevoked)).await.unwrap();
    ours.is_told(&mut cursor, "a revoked token", |told| told.tokens.tokens.contains(&token)).await;

    let change = SigningKeyChange {
        put: vec![signing_key(1)],
        events: vec![samples::event(EventKind::SigningKeyCreated)],
        ..SigningKeyChange::default()
    };
    theirs.change_signing_keys(change).await.unwrap();
    ours.is_told(&mut cursor, "a signing key", |told| told.signing_keys).await;

    theirs.revoke_key_of(&new).await;
    ours.is_told(&mut cursor, "a revoked key", has_key).await;
    assert!(ours.changes(Some(cursor)).await.unwrap().changes.is_empty());
}

/// Whoever asks again with the same cursor is told the same again: nothing is lost by an answer that got
/// lost. Without a cursor anything may have changed.
pub async fn what_was_told_is_told_again(backend: &impl Backend) {
    let (ours, theirs) = (backend.open().await, backend.open().await);
    let new = samples::new_account(1, "alice");
    let key = new.credential.thumbprint();
    let before = ours.cursor().await;
    theirs.create(&new).await;
    for _ in 0..3 {
        let mut cursor = before;
        let has_key = |told: &Changed| told.keys.iter().any(|told| told.thumbprint == key);
        ours.is_told(&mut cursor, "a registration", has_key).await;
    }
    assert_eq!(ours.changes(None).await.unwrap().changes, Changes::Everything);
}

/// What a handle changes itself is no reason for it to forget everything, and a check changes nothing.
pub async fn own_changes_are_not_everything(backend: &impl Backend) {
    let (ours, theirs) = (backend.open().await, backend.open().await);
    let mut cursor = ours.cursor().await;
    let new = samples::new_account(1, "alice");
    ours.create(&new).await;
    ours.record_login(samples::login(&new, 1)).await.unwrap();
    ours.revoke_key_of(&new).await;
    let told = ours.changes(Some(cursor)).await.unwrap();
    assert_ne!(told.changes, Changes::Everything);

    cursor = told.cursor;
    ours.check().await.unwrap();
    assert!(ours.changes(Some(cursor)).await.unwrap().changes.is_empty());

    // Also not between changes by others.
    let bob = samples::new_account(2, "bob");
    theirs.create(&bob).await;
    ours.create(&samples::new_account(3, "carol")).await;
    let has_bob = |told: &Changed| told.keys.iter().any(|told| told.account_id == bob.id);
    ours.is_told(&mut cursor, "a registration", has_bob).await;
}

/// A memory of keys that forgets what it is told of has them as the store has them, however many others
/// change at once while it asks.
pub async fn a_memory_that_follows_is_never_behind(backend: &impl Backend) {
    let ours = backend.open().await;
    let accounts: Vec<_> =
        (0..24).map(|number| samples::new_account(number, &format!("user{number}"))).collect();
    for new in &accounts {
        ours.create(new).await;
    }
    let mut memory = Memory { known: HashMap::new(), cursor: ours.cursor().await };
    memory.read(&ours, &accounts).await;

    let revoking = at_once(backend, 24, |number, theirs| {
        let new = samples::new_account(number, &format!("user{number}"));
        async move { theirs.revoke_key_of(&new).await }
    });
    let following = async {
        for _ in 0..50 {
            memory.follow(&ours).await;
            memory.read(&ours, &accounts).await;
        }
    };
    tokio::join!(revoking, following);
    memory.follow(&ours).await;
    memory.read(&ours, &accounts).await;
    assert!(memory.known.values().all(|is_revoked| *is_revoked), "{:?}", memory.known);
}

/// Which keys are revoked, as far as nobody has said that this changed.
struct Memory {
    known: HashMap<Thumbprint, bool>,
    cursor: ChangeCursor,
}

impl Memory {
    /// Reads what is not known.
    async fn read(&mut self, stores: &Stores, accounts: &[NewAccount]) {
        for new in accounts {
            let key = new.credential.thumbprint();
            if let Entry::Vacant(unknown) = self.known.entry(key) {
                let (credential, _) = stores.credential(&key).await.unwrap().unwrap();
                unknown.insert(credential.revoked_at.is_some());
            }
        }
    }

    /// Forgets what has changed.
    async fn follow(&mut self, stores: &Stores) {
        let told = stores.changes(Some(self.cursor)).await.unwrap();
        match told.changes {
            Changes::Everything => self.known.clear(),
            Changes::These(changed) => {
                self.known.retain(|key, _| changed.keys.iter().all(|told| told.thumbprint != *key));
            }
        }
        self.cursor = told.cursor;
    }
}

impl Stores {
    /// From here on.
    async fn cursor(&self) -> ChangeCursor {
        self.changes(None).await.unwrap().cursor
    }

    /// Sees that a change is told to whoever asks with `cursor`, which then moves on.
    async fn is_told(&self, cursor: &mut ChangeCursor, what: &str, has: impl Fn(&Changed) -> bool) {
        let told = self.changes(Some(*cursor)).await.unwrap();
        let is_told = match &told.changes {
            Changes::Everything => true,
            Changes::These(changed) => has(changed),
        };
        assert!(is_told, "{what}: {told:?}");
        *cursor = told.cursor;
    }

    async fn revoke_key_of(&self, new: &NewAccount) {
        let event = AuditEvent::new(NOW, EventKind::KeyRevoked);
        let key = new.credential.thumbprint();
        self.revoke_credential(new.id, &key, false, event, Permit::ADMINISTRATOR).await.unwrap();
    }
}
