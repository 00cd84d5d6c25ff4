//! Whose allowance an act uses up, and which.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_authority::{
    accounts::{
        own_keys::{NewKeyProof, RenameKey, RevokeKey},
        registration::PresentedKey,
        registration_error::RegistrationError,
        signed_request::SignedRequest,
        step_up::{Change, Operation},
        step_up_error::StepUpError,
    },
    login::{assertion::CallerError, jwt_bearer::LoginError},
    ports::{LimitKey, NotAdmitted, RateLimit, RateLimiter},
};
use countersign_protocol::{
    AccountId, AuthenticationContext, Coverage, CoveredTarget, Principal, ProofKind, ProvenKey,
    Scopes, challenges::request_digest::Conditions, digest::sha256,
};
use countersign_testkit::{
    keys::{ed25519, ed25519_public},
    samples::NOW,
};
use parking_lot::Mutex;

use crate::support::{ADDRESS, Login, World, uri};

/// Notes what is taken; one allowance may be used up.
#[derive(Default)]
struct Counter {
    taken: Mutex<Vec<(&'static str, LimitKey)>>,
    empty: Mutex<Option<&'static str>>,
}

#[async_trait]
impl RateLimiter for Counter {
    async fn take_many(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        count: u32,
        _: Duration,
    ) -> Result<(), NotAdmitted> {
        self.taken.lock().extend((0..count).map(|_| (limit.name, key)));
        if *self.empty.lock() == Some(limit.name) {
            return Err(NotAdmitted::TooMany { retry_after: Duration::from_secs(7) });
        }
        Ok(())
    }

    async fn give_back_many(&self, limit: &RateLimit, key: LimitKey, _: u32) {
        self.taken.lock().retain(|taken| *taken != (limit.name, key));
    }
}

impl Counter {
    fn since_last_asked(&self) -> Vec<(&'static str, LimitKey)> {
        std::mem::take(&mut *self.taken.lock())
    }
}

/// A world in which alice has the key 1, with nothing counted so far.
async fn alice(limited: bool) -> (World, Arc<Counter>, AccountId) {
    let counter = Arc::new(Counter::default());
    let world = World::with(
        |policy| policy.limits = policy.limits.filter(|_| limited),
        |ports| {
            ports.state.rate_limiter = Arc::clone(&counter) as _;
            ports.state.request_limiter = Arc::clone(&counter) as _;
        },
    );
    let world = world.await;
    let id = world.register("alice", &ed25519(1)).await.unwrap().account_id;
    counter.since_last_asked();
    (world, counter, id)
}

fn principal(account_id: AccountId) -> Principal {
    let key = ed25519_public(1).thumbprint();
    Principal {
        account_id,
        username: None,
        key: Some(ProvenKey::of(key)),
        proof: ProofKind::Dpop,
        token_id: None,
        scopes: Scopes::none(),
        narrowed: false,
        covers: Coverage { target: CoveredTarget::Request, body: Some(sha256(&[BODY])) },
        authentication: Some(AuthenticationContext::by_key(NOW)),
        issued_at: Some(NOW),
        expires_at: NOW + Duration::from_mins(5),
    }
}

/// What the requests to add a key have as their body, as far as the authority is concerned.
const BODY: &[u8] = b"{}";

async fn step_up<O: Operation>(
    world: &World,
    (id, body): (AccountId, &[u8]),
    operation: O,
) -> Result<Change<O>, StepUpError> {
    let request = SignedRequest {
        principal: &principal(id),
        method: "POST",
        path: "/v1/keys",
        conditions: Conditions::default(),
        body,
        approval: None,
        passkey: None,
        address: ADDRESS,
    };
    world.authority.accounts.step_up(request, operation).await
}

/// Whether the key was added, once the request was let do it.
async fn add_key(world: &World, id: AccountId, number: u64) -> Result<bool, StepUpError> {
    let (key, uri) = (ed25519(number), uri("/v1/keys"));
    let jwk = key.public_key().to_jwk();
    let operation =
        world.authority.accounts.key_to_add(PresentedKey::Jwk(&jwk), None, None).unwrap();
    let change = step_up(world, (id, BODY), operation).await?;
    let text = &world.new_key_proof(&key, &uri, id);
    let proof = NewKeyProof { text, method: "POST", uri: &uri };
    Ok(world.authority.accounts.add_key(change, proof).await.is_ok())
}

/// Whether the key was revoked, once the request was let do it.
async fn revoke_key(world: &World, id: AccountId, number: u64) -> Result<bool, StepUpError> {
    let thumbprint = ed25519_public(number).thumbprint();
    let change = step_up(world, (id, b""), RevokeKey { thumbprint }).await?;
    Ok(world.authority.accounts.revoke_own_key(change).await.is_ok())
}

/// Whether the key was renamed, once the request was let do it.
async fn rename_key(world: &World, id: AccountId, number: u64) -> Result<bool, StepUpError> {
    let thumbprint = ed25519_public(number).thumbprint();
    let operation = RenameKey { thumbprint, label: "tablet".parse().unwrap() };
    let change = step_up(world, (id, BODY), operation).await?;
    Ok(world.authority.accounts.rename_key(change).await.is_ok())
}

fn network_key() -> LimitKey {
    LimitKey::Network(ADDRESS.into())
}

#[tokio::test]
async fn each_act_takes_from_its_own_allowance() {
    let (world, counter, id) = alice(true).await;
    world.authority.core.admit_request(ADDRESS).await.unwrap();
    assert_eq!(counter.since_last_asked(), [("requests", network_key())]);
    world.register("bob", &ed25519(2)).await.unwrap();
    let of_network = ["registrations", "registrations-per-day"].map(|name| (name, network_key()));
    assert_eq!(counter.since_last_asked(), of_network);
    world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
    let of_account = ("account", LimitKey::Account(id));
    assert_eq!(counter.since_last_asked(), [("logins", network_key()), of_account]);
    world.call(&ed25519(1), &Login::of("alice"), None).await.unwrap();
    assert_eq!(counter.since_last_asked(), [("logins", network_key())]);
    assert!(add_key(&world, id, 3).await.unwrap());
    let of_key = LimitKey::Key(ed25519_public(1).thumbprint());
    let by_day = [
        ("key-changes-per-day", LimitKey::Account(id)),
        ("key-changes-of-network-per-day", network_key()),
    ];
    assert_eq!(counter.since_last_asked(), [("key", of_key), by_day[0], by_day[1]]);
    assert!(rename_key(&world, id, 3).await.unwrap());
    assert_eq!(counter.since_last_asked(), [("key", of_key), by_day[0], by_day[1]]);
    assert!(revoke_key(&world, id, 3).await.unwrap());
    assert_eq!(counter.since_last_asked(), [("withdrawals", of_key)]);
}

#[tokio::test]
async fn what_is_not_proven_costs_the_account_nothing() {
    let (world, counter, _) = alice(true).await;
    let (own, stranger) = (ed25519(1), ed25519(9));
    let kid = Some(own.public_key().thumbprint().to_string());
    let login = Login::of("alice");
    let attempts = [
        (&stranger, login.clone()),
        (&stranger, Login { kid, ..login.clone() }),
        (&own, Login { prover: Some(&stranger), ..login.clone() }),
        (&own, Login { scope: Some("admin"), ..login.clone() }),
        (&own, Login { resources: &["https://evil.example.org"], ..login.clone() }),
        (&own, Login::of("nobody")),
    ];
    for (number, (signer, attempt)) in attempts.into_iter().enumerate() {
        assert!(world.login(signer, &attempt).await.is_err(), "{number}");
        assert_eq!(counter.since_last_asked(), [("logins", network_key())], "{number}");
    }
}

#[tokio::test]
async fn an_empty_allowance_stops_its_own_act_only_and_uses_nothing_up() {
    let (world, counter, id) = alice(true).await;
    let login = |jti: &str| Login { jti: Some(jti.to_owned()), ..Login::of("alice") };
    for name in ["requests", "registrations", "registrations-per-day", "logins", "account", "key"] {
        *counter.empty.lock() = Some(name);
        let request = world.authority.core.admit_request(ADDRESS).await;
        assert_eq!(request.is_err(), name == "requests", "{name}");
        let error = world.register(name, &ed25519(1)).await.unwrap_err();
        let limited = matches!(error, RegistrationError::NotAdmitted(_));
        assert_eq!(limited, name.starts_with("registrations"), "{name}: {error:?}");
        let granted = world.login(&ed25519(1), &login(name)).await;
        let limited = matches!(granted, Err(LoginError::NotAdmitted(_)));
        assert_eq!(limited, ["logins", "account"].contains(&name), "{name}: {granted:?}");
        let called = world.call(&ed25519(1), &Login::of("alice"), None).await;
        let limited = matches!(called, Err(CallerError::NotAdmitted(_)));
        assert_eq!(limited, name == "logins", "{name}: {called:?}");
        let added = add_key(&world, id, 1).await;
        let limited = matches!(added, Err(StepUpError::NotAdmitted(_)));
        assert_eq!(limited, name == "key", "{name}: {added:?}");
        let revoked = revoke_key(&world, id, 77).await;
        let limited = matches!(revoked, Err(StepUpError::NotAdmitted(_)));
        assert!(!limited, "{name}: {revoked:?}");
    }
    *counter.empty.lock() = None;
    for name in ["logins", "account"] {
        assert!(world.login(&ed25519(1), &login(name)).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn without_key_changes_left_for_the_day_keys_are_still_revoked() {
    let (world, counter, id) = alice(true).await;
    assert!(add_key(&world, id, 3).await.unwrap());
    for name in ["key-changes-per-day", "key-changes-of-network-per-day"] {
        *counter.empty.lock() = Some(name);
        counter.since_last_asked();
        let added = add_key(&world, id, 4).await;
        assert!(matches!(added, Err(StepUpError::NotAdmitted(_))), "{name}: {added:?}");
        let renamed = rename_key(&world, id, 3).await;
        assert!(matches!(renamed, Err(StepUpError::NotAdmitted(_))), "{name}: {renamed:?}");
    }
    let of_account = ("key-changes-per-day", LimitKey::Account(id));
    assert!(!counter.since_last_asked().contains(&of_account), "given back");
    assert!(revoke_key(&world, id, 3).await.unwrap());
}

/// Anybody can make accounts in heaps, and use up with them what their client network may change.
#[tokio::test]
async fn an_account_that_is_not_young_takes_nothing_from_its_network_and_is_not_kept_out_by_it() {
    let (world, counter, id) = alice(true).await;
    world.clock.advance(Duration::from_hours(24 * 7));
    *counter.empty.lock() = Some("key-changes-of-network-per-day");
    counter.since_last_asked();
    assert!(add_key(&world, id, 3).await.unwrap());
    let asked = counter.since_last_asked();
    assert!(asked.contains(&("key-changes-per-day", LimitKey::Account(id))), "{asked:?}");
    assert!(!asked.contains(&("key-changes-of-network-per-day", network_key())), "{asked:?}");
}

/// Whoever has stolen a key uses up all that the account may do, and all that this key may revoke.
#[tokio::test]
async fn no_use_of_a_stolen_key_keeps_another_key_from_revoking_it() {
    let (world, counter, id) = alice(true).await;
    assert!(add_key(&world, id, 3).await.unwrap());
    *counter.empty.lock() = Some("account");
    let login = world.login(&ed25519(3), &Login::of("alice")).await;
    assert!(matches!(login, Err(LoginError::NotAdmitted(_))), "{login:?}");
    assert!(revoke_key(&world, id, 3).await.unwrap());
    let by_thief = LimitKey::Key(ed25519_public(3).thumbprint());
    assert!(counter.since_last_asked().iter().all(|(_, key)| *key != by_thief));
}

#[tokio::test]
async fn limits_that_are_off_ask_nobody() {
    let (world, counter, id) = alice(false).await;
    world.authority.core.admit_request(ADDRESS).await.unwrap();
    world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
    world.call(&ed25519(1), &Login::of("alice"), None).await.unwrap();
    world.register("bob", &ed25519(2)).await.unwrap();
    assert!(add_key(&world, id, 3).await.unwrap());
    assert!(revoke_key(&world, id, 3).await.unwrap());
    assert_eq!(counter.since_last_asked(), []);
}
