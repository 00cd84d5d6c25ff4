//! Accounts that authenticate one call.

use countersign_authority::login::{assertion::CallerError, jwt_bearer::LoginError};
use countersign_testkit::keys::{ed25519, ed25519_public};

use crate::support::{Login, World};

/// A world in which alice has the key 1 and bob the key 2.
async fn alice_and_bob() -> World {
    let world = World::new().await;
    world.register("alice", &ed25519(1)).await.unwrap();
    world.register("bob", &ed25519(2)).await.unwrap();
    world
}

#[tokio::test]
async fn a_caller_is_found_by_its_key_whether_or_not_it_names_it() {
    let world = alice_and_bob().await;
    let kid = ed25519_public(1).thumbprint().to_string();
    for kid in [None, Some(kid)] {
        let login = Login { kid, ..Login::of("Alice") };
        let caller = world.call(&ed25519(1), &login, None).await.unwrap();
        assert_eq!(caller.account.username.as_str(), "alice");
    }
}

#[tokio::test]
async fn every_stranger_gets_one_answer() {
    let world = alice_and_bob().await;
    let kid = |number| Some(ed25519_public(number).thumbprint().to_string());
    let attempts = [
        (1, Login::of("carol")),
        (1, Login { kid: kid(1), ..Login::of("carol") }),
        (2, Login::of("alice")),
        (2, Login { kid: kid(2), ..Login::of("alice") }),
        (2, Login { kid: kid(1), ..Login::of("alice") }),
        (9, Login { kid: kid(9), ..Login::of("alice") }),
        (9, Login::of("alice")),
    ];
    for (number, (signer, login)) in attempts.into_iter().enumerate() {
        let error = world.call(&ed25519(signer), &login, None).await.unwrap_err();
        assert!(matches!(error, CallerError::Refused), "{number}: {error:?}");
    }
}

#[tokio::test]
async fn the_client_id_names_the_same_account_and_a_wrong_one_uses_nothing_up() {
    let world = alice_and_bob().await;
    let login = Login { jti: Some("one".to_owned()), ..Login::of("alice") };
    let of_bob = ed25519_public(2).thumbprint().to_string();
    for other in ["bob", "carol", "", "not a name", &of_bob] {
        let error = world.call(&ed25519(1), &login, Some(other)).await.unwrap_err();
        assert!(matches!(error, CallerError::ClientId), "{other:?}: {error:?}");
    }
    let caller = world.call(&ed25519(1), &login, Some("ALICE")).await.unwrap();
    let own = [caller.account.id.to_string(), ed25519_public(1).thumbprint().to_string()];
    for id in own {
        assert!(world.call(&ed25519(1), &Login::of("alice"), Some(&id)).await.is_ok(), "{id}");
    }
    let error = world.call(&ed25519(1), &login, Some("alice")).await.unwrap_err();
    assert!(matches!(error, CallerError::Replayed), "{error:?}");
}

#[tokio::test]
async fn an_assertion_serves_one_call_or_one_login() {
    let world = alice_and_bob().await;
    let login = |jti: &str| Login { jti: Some(jti.to_owned()), ..Login::of("alice") };
    world.call(&ed25519(1), &login("first a call"), None).await.unwrap();
    let error = world.login(&ed25519(1), &login("first a call")).await.unwrap_err();
    assert!(matches!(error, LoginError::AssertionReplayed), "{error:?}");
    world.login(&ed25519(1), &login("first a login")).await.unwrap();
    let error = world.call(&ed25519(1), &login("first a login"), None).await.unwrap_err();
    assert!(matches!(error, CallerError::Replayed), "{error:?}");
}

#[tokio::test]
async fn a_key_id_that_is_no_thumbprint_is_called_so() {
    let world = alice_and_bob().await;
    let login = Login { kid: Some("my laptop".to_owned()), ..Login::of("alice") };
    let error = world.call(&ed25519(1), &login, None).await.unwrap_err();
    assert!(matches!(error, CallerError::Assertion(_)), "{error:?}");
}
