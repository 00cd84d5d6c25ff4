//! Who may log in, with which key bound, for which resource.

use countersign_authority::ports::Permit;
use std::sync::Arc;

use countersign_authority::{
    login::{asked::AskedError, assertion::CallerError, jwt_bearer::LoginError},
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind},
    },
};
use countersign_protocol::keys::PrivateKey;
use countersign_testkit::{
    keys::{ed25519, ed25519_public},
    samples::{event, scopes},
    store_parts::StoreParts,
};

use crate::support::{ISSUER, KeyStore, Login, World};

const API: &str = "https://api.example.org";
const DOCS: &str = "https://docs.example.org/v2";

fn thumbprint(number: u64) -> String {
    ed25519_public(number).thumbprint().to_string()
}

fn is_refused(error: &LoginError) -> bool {
    matches!(error, LoginError::Assertion(CallerError::Refused))
}

/// A world in which alice has the key 1 and bob the key 2.
async fn alice_and_bob() -> World {
    let world =
        World::with(|policy| policy.tokens.resources = vec![API.into(), DOCS.into()], |_| {});
    let world = world.await;
    world.register("Alice", &ed25519(1)).await.unwrap();
    world.register("bob", &ed25519(2)).await.unwrap();
    world
}

#[tokio::test]
async fn nobody_learns_from_a_refusal_which_accounts_exist() {
    let world = alice_and_bob().await;
    let bob = world.login(&ed25519(2), &Login::of("bob")).await.unwrap();
    let bob = world.claims(&bob.access_token).account_id;
    let id_of_nobody = bob.to_string().replace(|c: char| c.is_ascii_digit(), "a");
    let with_kid =
        |subject: &str, number| Login { kid: Some(thumbprint(number)), ..Login::of(subject) };
    let attempts: [(&str, u64, Login<'_>); 12] = [
        ("unknown name", 1, Login::of("carol")),
        ("unknown id", 1, Login::of(id_of_nobody)),
        ("no name at all", 1, Login::of("no name, but a text")),
        ("the thumbprint of another key", 1, Login::of(thumbprint(2))),
        ("an id in capitals", 2, Login::of(bob.to_string().to_uppercase())),
        ("unknown name with a known kid", 1, with_kid("carol", 1)),
        ("unknown name with an unknown kid", 9, with_kid("carol", 9)),
        ("another account's key", 2, Login::of("alice")),
        ("another account's key, named", 2, with_kid("alice", 2)),
        ("another account's key under the right kid", 2, with_kid("alice", 1)),
        ("an unknown key", 9, Login::of("alice")),
        ("an unknown key, named", 9, with_kid("alice", 9)),
    ];
    let mut answers = Vec::new();
    for (what, signer, login) in attempts {
        let result = world.login(&ed25519(signer), &login).await;
        let error = result.err().unwrap_or_else(|| panic!("{what} logs in"));
        assert!(is_refused(&error), "{what}: {error:?}");
        answers.push(error.to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let trail = world.trail().await;
    let refused = trail.iter().filter(|event| event.kind == EventKind::LoginRefused).count();
    assert_eq!(refused, 0, "nobody can fill another's trail without a key of that account");
}

#[tokio::test]
async fn an_account_is_named_by_id_by_name_in_any_case_or_by_the_key_itself() {
    let world = alice_and_bob().await;
    let by_name = world.login(&ed25519(1), &Login::of("Alice")).await.unwrap();
    let id = world.claims(&by_name.access_token).account_id;
    for subject in ["alice".to_owned(), "ALICE".to_owned(), id.to_string(), thumbprint(1)] {
        for kid in [None, Some(thumbprint(1))] {
            let login = Login { kid, ..Login::of(subject.as_str()) };
            let grant = world.login(&ed25519(1), &login).await.unwrap();
            assert_eq!(world.claims(&grant.access_token).account_id, id, "{subject}");
        }
    }
}

#[tokio::test]
async fn an_assertion_works_once_however_the_account_is_named() {
    let world = alice_and_bob().await;
    let login = |name: &str| Login { jti: Some("one".to_owned()), ..Login::of(name) };
    world.login(&ed25519(1), &login("alice")).await.unwrap();
    for name in ["alice", "ALICE"] {
        let error = world.login(&ed25519(1), &login(name)).await.unwrap_err();
        assert!(matches!(error, LoginError::AssertionReplayed), "{error:?}");
    }
    assert!(world.login(&ed25519(2), &login("bob")).await.is_ok(), "a jti is its signer's own");
}

#[tokio::test]
async fn a_shut_out_account_is_refused_with_a_note_to_its_owner() {
    let world = alice_and_bob().await;
    let grant = world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
    let id = world.claims(&grant.access_token).account_id;
    let disable = event(EventKind::AccountDisabled).account(id);
    let disabled = AccountStatus::Disabled;
    assert!(world.ports.store.set_status(id, disabled, disable).await.unwrap());
    // What is cached is corrected by the store at the latest when the login is recorded.
    let error = world.login(&ed25519(1), &Login::of("alice")).await.unwrap_err();
    assert!(is_refused(&error), "{error:?}");
    assert!(world.trail().await.iter().any(|event| is_about(event, 1, EventKind::LoginRefused)));
}

fn is_about(event: &AuditEvent, key: u64, kind: EventKind) -> bool {
    event.kind == kind && event.thumbprint == Some(ed25519_public(key).thumbprint())
}

#[tokio::test]
async fn the_token_is_bound_to_the_credential_or_to_a_key_that_it_vouches_for() {
    let world = alice_and_bob().await;
    let (own, session) = (ed25519(1), ed25519(11));
    let login = Login::of("alice");
    let naming_itself = Login { vouched: Some(&own), ..login.clone() };
    let vouching = Login { vouched: Some(&session), prover: Some(&session), ..login.clone() };
    for (login, bound_to) in [(&login, &own), (&naming_itself, &own), (&vouching, &session)] {
        let grant = world.login(&own, login).await.unwrap();
        let claims = world.claims(&grant.access_token);
        assert_eq!(claims.bound_to, bound_to.public_key().thumbprint());
        assert_eq!(claims.credential, own.public_key().thumbprint());
    }
}

#[tokio::test]
async fn no_other_key_gets_the_token_and_the_attempt_uses_nothing_up() {
    let world = alice_and_bob().await;
    let own = ed25519(1);
    let (session, other) = (ed25519(11), ed25519(12));
    let pairs: [(Option<&PrivateKey>, Option<&PrivateKey>); 3] =
        [(None, Some(&session)), (Some(&session), None), (Some(&session), Some(&other))];
    for (number, (vouched, prover)) in pairs.into_iter().enumerate() {
        let jti = Some(format!("binding-{number}"));
        let attempt = Login { vouched, prover, jti: jti.clone(), ..Login::of("alice") };
        let error = world.login(&own, &attempt).await.unwrap_err();
        assert!(matches!(error, LoginError::Binding), "{number}: {error:?}");
        assert!(world.login(&own, &Login { jti, ..Login::of("alice") }).await.is_ok());
    }
    let trail = world.trail().await;
    let notes = trail.iter().filter(|event| is_about(event, 1, EventKind::LoginRefused));
    assert_eq!(
        notes.map(AuditEvent::times).sum::<u64>(),
        3,
        "its owner or a thief: the trail knows"
    );
}

#[tokio::test]
async fn a_registered_key_is_no_session_key_not_even_a_revoked_one() {
    let world = alice_and_bob().await;
    let (alice, bob) = (ed25519(1), ed25519(2));
    let attempt = Login { vouched: Some(&bob), prover: Some(&bob), ..Login::of("alice") };
    let error = world.login(&alice, &attempt).await.unwrap_err();
    assert!(matches!(error, LoginError::SessionKey), "{error:?}");

    let grant = world.login(&bob, &Login::of("bob")).await.unwrap();
    let id = world.claims(&grant.access_token).account_id;
    let revoke = event(EventKind::KeyRevoked).account(id);
    let key = bob.public_key().thumbprint();
    world
        .ports
        .store
        .revoke_credential(id, &key, false, revoke, Permit::ADMINISTRATOR)
        .await
        .unwrap();
    let error = world.login(&alice, &attempt).await.unwrap_err();
    assert!(matches!(error, LoginError::SessionKey), "{error:?}");
}

#[tokio::test]
async fn a_token_is_for_the_resources_that_were_asked_for() {
    let world = alice_and_bob().await;
    let cases: [(&[&str], &[&str]); 6] = [
        (&[], &[ISSUER]),
        (&[ISSUER], &[ISSUER]),
        (&[API], &[API]),
        (&[DOCS, API], &[DOCS, API]),
        (&[API, API, ISSUER, API], &[API, ISSUER]),
        (&[ISSUER, DOCS], &[ISSUER, DOCS]),
    ];
    for (resources, audience) in cases {
        let login = Login { resources, ..Login::of("alice") };
        let grant = world.login(&ed25519(1), &login).await.unwrap();
        assert_eq!(world.claims(&grant.access_token).audience, audience);
    }
}

#[tokio::test]
async fn a_resource_that_is_not_exactly_a_known_one_is_refused() {
    let world = alice_and_bob().await;
    let cases: [&[&str]; 7] = [
        &["https://evil.example.org"],
        &[API, "https://evil.example.org"],
        &["https://api.example.org/"],
        &["https://API.example.org"],
        &["https://docs.example.org"],
        &[""],
        &["https://auth.example.org/v1"],
    ];
    for resources in cases {
        let jti = Some(format!("for {resources:?}"));
        let login = Login { resources, jti: jti.clone(), ..Login::of("alice") };
        let error = world.login(&ed25519(1), &login).await.unwrap_err();
        assert!(
            matches!(error, LoginError::Asked(AskedError::UnknownResource)),
            "{resources:?}: {error:?}"
        );
        let again = Login { jti, ..Login::of("alice") };
        assert!(world.login(&ed25519(1), &again).await.is_ok(), "nothing was used up");
    }
}

#[tokio::test]
async fn scopes_are_those_of_the_account_or_some_of_them() {
    let world = World::with(|policy| policy.default_scopes = scopes("read write"), |_| {}).await;
    world.register("alice", &ed25519(1)).await.unwrap();
    let granted = async |scope| {
        let login = Login { scope, ..Login::of("alice") };
        world.login(&ed25519(1), &login).await.map(|grant| grant.scopes)
    };
    assert_eq!(granted(None).await.unwrap(), scopes("read write"));
    assert_eq!(granted(Some("write")).await.unwrap(), scopes("write"));
    for wrong in ["admin", "read admin", "READ", "read  write", "\"", "read\n"] {
        let error = granted(Some(wrong)).await.unwrap_err();
        assert!(matches!(error, LoginError::Asked(AskedError::Scope)), "{wrong:?}: {error:?}");
    }
}

#[tokio::test]
async fn without_a_signing_key_there_is_no_token() {
    let keys = KeyStore::new();
    let store = Arc::clone(&keys);
    let world = World::with(
        |_| {},
        |ports| {
            StoreParts::replace(&mut ports.store, |parts| parts.signing_keys = store);
        },
    )
    .await;
    world.register("alice", &ed25519(1)).await.unwrap();
    world.clock.advance(world.authority.core.policy().signing_keys.active);
    keys.fail(true);
    let error = world.login(&ed25519(1), &Login::of("alice")).await.unwrap_err();
    assert!(matches!(error, LoginError::SigningKey(_)), "{error:?}");
    keys.fail(false);
    world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
}
