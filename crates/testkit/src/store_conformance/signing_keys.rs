//! Rules about signing keys.

use std::{sync::Arc, time::Duration};

use countersign_authority::{
    keys::{
        signing::SigningKeys,
        vault::{MasterKey, Vault},
    },
    model::{
        audit::EventKind,
        key_life::{KeySchedule, KeyState, Schedule, SealedSigningKey, Signs},
    },
    ports::{ChangeSigningKeysError, SigningKeyChange, SigningKeyVersion},
};
use countersign_protocol::{UnixTime, keys::Algorithm};

use super::{Backend, Stores, at_once};
use crate::{
    random::SeededRandom,
    rules,
    samples::{self, NOW, signing_key},
};

/// Signing keys come in the order in which they become active.
pub async fn signing_keys_come_by_time_of_activation(backend: &impl Backend) {
    let stores = backend.open().await;
    assert!(stored(&stores).await.is_empty());
    put(&stores, &[signing_key(3), signing_key(1)]).await;
    put(&stores, &[signing_key(2)]).await;
    assert_eq!(stored(&stores).await, [signing_key(1), signing_key(2), signing_key(3)]);
}

/// Keys are inserted, replaced as a whole and removed in one step, which is recorded.
pub async fn signing_keys_are_put_replaced_and_removed(backend: &impl Backend) {
    let stores = backend.open().await;
    put(&stores, &[signing_key(1), signing_key(2)]).await;
    let mut changed = SealedSigningKey { kid: signing_key(2).kid, ..signing_key(4) };
    changed.life.retired_from = changed.life.active_from;
    let events = [EventKind::SigningKeyRotated, EventKind::SigningKeyRemoved].map(samples::event);
    let change = SigningKeyChange {
        decided_on: version(&stores).await,
        put: vec![changed.clone(), signing_key(6)],
        remove: vec![signing_key(1).kid, signing_key(9).kid],
        events: events.to_vec(),
    };
    stores.change_signing_keys(change).await.unwrap();
    assert_eq!(stored(&stores).await, [changed, signing_key(6)]);
    let trail: Vec<_> = stores.trail().await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(trail[1..], events);
}

/// Signing keys and their version are there after reopening.
pub async fn reopening_keeps_signing_keys(backend: &impl Backend) {
    let stores = backend.open().await;
    put(&stores, &[signing_key(1)]).await;
    let before = stores.signing_keys().await.unwrap();
    drop(stores);
    let after = backend.open().await.signing_keys().await.unwrap();
    assert_eq!(after.keys, [signing_key(1)]);
    assert_eq!(after, before);
}

/// A change that was decided on keys that another handle has changed since puts nothing, removes
/// nothing and is not recorded.
pub async fn a_stale_change_of_signing_keys_leaves_nothing(backend: &impl Backend) {
    let (stores, others) = (backend.open().await, backend.open().await);
    put(&stores, &[signing_key(1)]).await;
    let decided_on = version(&stores).await;
    put(&others, &[signing_key(2)]).await;
    let before = stores.signing_keys().await.unwrap();
    let stale = SigningKeyChange {
        decided_on,
        put: vec![signing_key(3), SealedSigningKey { kid: signing_key(2).kid, ..signing_key(4) }],
        remove: vec![signing_key(1).kid],
        events: vec![samples::event(EventKind::SigningKeyRotated)],
    };
    for handle in [&stores, &others] {
        let refusal = handle.change_signing_keys(stale.clone()).await;
        assert!(matches!(refusal, Err(ChangeSigningKeysError::Stale)), "{refusal:?}");
        assert_eq!(handle.signing_keys().await.unwrap(), before);
        assert_eq!(handle.trail().await.len(), 2);
    }
}

/// Of many changes that were decided on the same keys, whoever makes them, one is made.
pub async fn of_changes_on_one_version_at_once_one_is_made(backend: &impl Backend) {
    let stores = backend.open().await;
    put(&stores, &[signing_key(1)]).await;
    let decided_on = version(&stores).await;
    let made = at_once(backend, 20, |number, stores| async move {
        let key = signing_key(u8::try_from(number).unwrap() + 10);
        let events = vec![samples::event(EventKind::SigningKeyCreated)];
        let (put, remove) = (vec![key.clone()], Vec::new());
        let change = SigningKeyChange { decided_on, put, remove, events };
        let made = stores.change_signing_keys(change).await;
        assert!(matches!(made, Ok(()) | Err(ChangeSigningKeysError::Stale)), "{made:?}");
        made.is_ok().then_some(key)
    })
    .await;
    let made: Vec<_> = made.into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    assert_eq!(stored(&stores).await, [signing_key(1), made[0].clone()]);
    assert_eq!(stores.trail().await.len(), 2);
}

/// Many servers start, make a successor, and rotate by hand, each of these all at once: there is one key
/// for each, and everybody knows the same keys.
pub async fn starts_and_rotations_at_once_make_one_key_each(backend: &impl Backend) {
    const SERVERS: u64 = 6;
    let servers = at_once(backend, SERVERS, |number, stores| start(stores, number)).await;
    let servers: Vec<_> = servers.into_iter().map(Arc::new).collect();
    assert_eq!(states(&servers, NOW).await, [KeyState::Active]);

    let server = |number: u64| Arc::clone(&servers[usize::try_from(number).unwrap()]);
    let due = NOW + LIVES.active - LIVES.publish_ahead;
    let made = rules::at_once(SERVERS, |number| {
        let (server, random) = (server(number), SeededRandom::new(100 + number));
        async move { server.maintain(due, &random).await.unwrap() }
    })
    .await;
    assert_eq!(made.into_iter().filter(|made| *made).count(), 1);
    assert_eq!(states(&servers, due).await, [KeyState::Active, KeyState::Next]);

    // The first rotation takes the next key, and each of the others has to make one.
    for (round, withdraw, after) in [
        (1, false, &[KeyState::Retired, KeyState::Active][..]),
        (2, false, &[KeyState::Retired, KeyState::Retired, KeyState::Active]),
        (3, true, &[KeyState::Gone, KeyState::Active, KeyState::Gone, KeyState::Gone]),
    ] {
        let now = due + Duration::from_secs(round);
        rules::at_once(SERVERS, |number| {
            let (server, random) = (server(number), SeededRandom::new(100 * round + number));
            async move { server.rotate(withdraw, now, &random).await.unwrap() }
        })
        .await;
        assert_eq!(states(&servers, now).await, after, "round {round}");
    }
}

/// The states of the keys at `now`. All of `servers` know the same keys.
async fn states(servers: &[Arc<SigningKeys>], now: UnixTime) -> Vec<KeyState> {
    let mut all = Vec::new();
    for server in servers {
        server.reload().await.unwrap();
        let keys = server.summaries(now).into_iter().map(|key| (key.kid, key.state));
        all.push(keys.collect::<Vec<_>>());
    }
    assert!(all.iter().all(|keys| *keys == all[0]), "{all:?}");
    all[0].iter().map(|(_, state)| *state).collect()
}

const LIVES: KeySchedule = KeySchedule {
    algorithm: Algorithm::EdDsa,
    active: Duration::from_hours(24),
    publish_ahead: Duration::from_hours(2),
    keep_after: Duration::from_hours(3),
};

/// The signing keys of a server that starts at `NOW`.
async fn start(stores: Stores, number: u64) -> SigningKeys {
    let random = SeededRandom::new(number);
    let master = MasterKey::parse(&"5e".repeat(32)).unwrap();
    let vault = Vault::open(&*stores.0, &master, &random).await.unwrap();
    let schedule = Schedule {
        signs: Signs::AccessTokens,
        lives: LIVES,
        keep_expired: false,
        tokens_live: LIVES.keep_after,
        clock_tolerance: Duration::from_secs(5),
    };
    SigningKeys::load(stores.0, &vault, [schedule], NOW, &random).await.unwrap()
}

async fn put(stores: &Stores, keys: &[SealedSigningKey]) {
    let change = SigningKeyChange {
        decided_on: version(stores).await,
        put: keys.to_vec(),
        remove: Vec::new(),
        events: vec![samples::event(EventKind::SigningKeyCreated)],
    };
    stores.change_signing_keys(change).await.unwrap();
}

async fn version(stores: &Stores) -> SigningKeyVersion {
    stores.signing_keys().await.unwrap().version
}

async fn stored(stores: &Stores) -> Vec<SealedSigningKey> {
    stores.signing_keys().await.unwrap().keys
}
