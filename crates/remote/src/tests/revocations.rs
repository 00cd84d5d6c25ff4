//! The feed of revocations: what it says counts, and nobody can hold it back unnoticed.

use std::time::Duration;

use countersign_testkit::{keys::ed25519, samples::account_id};

use super::{caller::Caller, *};

#[tokio::test]
async fn what_is_revoked_at_the_issuer_is_refused_here_after_the_next_look() {
    let revocations: [fn(&World); 5] = [
        |world| world.issuer.state.list.lock().before = Some(NOW),
        |world| world.issuer.state.list.lock().accounts_before.push((account_id(1), NOW)),
        |world| world.issuer.state.list.lock().tokens.push("token 1".to_owned()),
        |world| {
            let key = ed25519(2).public_key().thumbprint();
            world.issuer.state.list.lock().keys.push(key);
        },
        |world| world.issuer.state.list.lock().accounts.push(account_id(1)),
    ];
    for revoke in revocations {
        let world = World::new().await;
        let caller = Caller::new(&world);
        world.verify(&caller.request(&world)).await.unwrap();
        revoke(&world);
        world.refresh().await.unwrap();
        let refused = world.verify(&caller.request(&world)).await;
        assert_eq!(refused, Err(Refusal::Revoked));
    }
}

#[tokio::test]
async fn a_moment_covers_no_token_that_was_issued_later_and_none_of_other_accounts() {
    let world = World::new().await;
    let caller = Caller::new(&world);
    {
        let mut list = world.issuer.state.list.lock();
        list.before = Some(NOW - Duration::from_secs(1));
        list.accounts_before = vec![
            (account_id(1), NOW - Duration::from_secs(1)),
            (account_id(2), NOW + Duration::from_secs(1)),
        ];
    }
    world.refresh().await.unwrap();
    world.verify(&caller.request(&world)).await.unwrap();
}

#[tokio::test]
async fn a_list_that_lacks_what_the_last_one_had_does_not_count_while_that_does() {
    let world = World::new().await;
    let caller = Caller::new(&world);
    world.issuer.state.list.lock().sequence = Some(7);
    world.refresh().await.unwrap();
    world.issuer.state.list.lock().sequence = Some(6);
    assert!(world.refresh().await.unwrap_err().contains("lacks"));
    world.verify(&caller.request(&world)).await.unwrap();
    world.clock.advance(Duration::from_secs(11));
    assert!(matches!(world.verify(&caller.request(&world)).await, Err(Refusal::Unavailable(_))));
    world.refresh().await.unwrap();
    world.verify(&caller.request(&world)).await.unwrap();
}

#[tokio::test]
async fn lists_without_a_number_count_until_one_has_a_number() {
    let world = World::new().await;
    let set = |sequence| world.issuer.state.list.lock().sequence = sequence;
    set(None);
    // The one that the world begins with has a number.
    assert!(world.refresh().await.unwrap_err().contains("lacks"));
    world.clock.advance(Duration::from_secs(11));
    world.refresh().await.unwrap();
    world.refresh().await.unwrap();
    set(Some(3));
    world.refresh().await.unwrap();
    set(None);
    assert!(world.refresh().await.unwrap_err().contains("lacks"));
    set(Some(3));
    world.refresh().await.unwrap();
}

#[tokio::test]
async fn a_list_by_somebody_else_does_not_count() {
    let world = World::new().await;
    world.issuer.state.list_by.lock().0 = 9;
    world.clock.advance(Duration::from_secs(5));
    assert!(world.refresh().await.is_err());
    world.verify(&Caller::new(&world).request(&world)).await.unwrap();
}

#[tokio::test]
async fn an_old_list_cannot_be_played_back() {
    for (ago, complaint) in [(20, "too old"), (5, "older than the last one")] {
        let world = World::new().await;
        world.issuer.state.list_by.lock().1 = Duration::from_secs(ago);
        let error = world.refresh().await.unwrap_err();
        assert!(error.contains(complaint), "{error}");
    }
}

#[tokio::test]
async fn a_list_of_another_issuer_does_not_count() {
    let world = World::new().await;
    "https://other.example".clone_into(&mut world.issuer.state.list.lock().issuer);
    assert!(world.refresh().await.is_err());
}

#[tokio::test]
async fn the_lag_has_a_floor_below_which_nobody_would_ever_be_right() {
    let world = World::with(|server| server.max_lag(Duration::ZERO).outage(Duration::ZERO)).await;
    world.issuer.set_away(true);
    let caller = Caller::new(&world);
    world.clock.advance(Duration::from_secs(4));
    world.verify(&caller.request(&world)).await.unwrap();
}
