//! Administrators who act on one account at the same time.

use countersign_authority::{
    accounts::administration::Administration, model::account::AccountName,
};
use countersign_testkit::{keys::ed25519, samples::scopes};

use crate::support::World;

#[tokio::test]
async fn scopes_that_several_administrators_change_at_once_are_all_changed() {
    let world = World::new().await;
    world.register("alice", &ed25519(1)).await.unwrap();
    let alice: AccountName = "alice".parse().unwrap();
    let first = Administration::new(&world.ports);
    first.grant_scopes(&alice, &scopes("a b c")).await.unwrap();

    let grant = async |more| {
        let admin = Administration::new(&world.ports);
        admin.grant_scopes(&alice, &scopes(more)).await.unwrap();
    };
    let withdraw = async |fewer| {
        let admin = Administration::new(&world.ports);
        admin.withdraw_scopes(&alice, &scopes(fewer)).await.unwrap();
    };
    tokio::join!(grant("d"), withdraw("a"), grant("e f"), withdraw("b f"));
    let scopes_now = first.account(&alice).await.unwrap().scopes;
    // Whether `f` was added before or after it was withdrawn is a matter of who came first.
    assert_eq!(scopes_now.without(&scopes("f")), scopes("c d e"));
}
