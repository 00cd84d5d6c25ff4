//! A house moves out of a data directory.

use std::fs;

use countersign_store::postgres::DatabaseUrl;

use super::super::{Person, Server, admin, eventually, is_accepted, run};
use super::{Balancer, Shared};

#[tokio::test]
async fn a_house_moves_with_everything_in_it() {
    let shared = Shared::empty();
    let balancer = Balancer::start();
    let mut server = Server::start_in(shared.directory(), &["--issuer", balancer.url()]);
    balancer.lead_to(server.url());
    let alice = Person::registered_at(balancer.url(), "alice").await;
    let bob = Person::registered_at(balancer.url(), "bob").await;
    let (login, revoked) = (alice.login(None).await.unwrap(), bob.login(None).await.unwrap());
    admin(shared.directory(), &["keys", "revoke", "bob", &bob.thumbprint().to_string()]).result();
    eventually("bob is out", async || !is_accepted(&revoked).await).await;

    let to = ["move", "--to", shared.database.url()];
    let refusal = admin(shared.directory(), &to).refusal();
    assert!(refusal.contains("stop the server first"), "{refusal}");
    server.kill();
    let moved = admin(shared.directory(), &to);
    assert!(moved.stderr.contains("countersign.db.moved-1"), "{}", moved.stderr);
    assert!(moved.stdout.starts_with("moved 2 accounts, 2 keys and "), "{}", moved.stdout);
    assert!(!shared.directory().join("countersign.db").exists());

    let server = shared.server(balancer.url());
    balancer.lead_to(server.url());
    let alice = Person::with_key_at(balancer.url(), "alice", alice.key.clone()).await;
    assert!(is_accepted(&alice.resume(login.save())).await, "its token lives on");
    alice.login(None).await.unwrap();
    let bob = Person::with_key_at(balancer.url(), "bob", bob.key.clone()).await;
    assert!(!is_accepted(&bob.resume(revoked.save())).await, "his does not");
    assert!(bob.login(None).await.is_err());
    assert!(shared.admin(&["audit", "--all"]).result().contains("database.moved"));
}

#[test]
fn a_house_with_a_file_is_not_begun_anew_beside_it() {
    let shared = Shared::empty();
    Server::start_in(shared.directory(), &[]).kill();
    let refusal = shared.admin(&["init"]).refusal();
    assert!(refusal.contains("countersign.db is the database of a single server"), "{refusal}");
    assert!(refusal.contains("countersign admin move --to URL"), "{refusal}");
    admin(shared.directory(), &["move", "--to", shared.database.url()]).result();
    let said = shared.admin(&["init"]).remark();
    assert!(said.contains("is ready already"), "{said}");
}

#[test]
fn a_house_that_has_moved_is_not_served_from_its_file_and_moves_once() {
    let shared = Shared::empty();
    Server::start_in(shared.directory(), &[]).kill();
    admin(shared.directory(), &["move", "--to", shared.database.url()]).result();
    let mut serve = super::countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    let refusal = run(serve.arg(shared.directory())).refusal();
    assert!(refusal.contains("countersign.db"), "{refusal}");
    let again = admin(shared.directory(), &["move", "--to", shared.database.url()]).refusal();
    assert!(again.contains("set database_url"), "{again}");
    let other = Shared::empty();
    Server::start_in(other.directory(), &[]).kill();
    let refusal = admin(other.directory(), &["move", "--to", shared.database.url()]).refusal();
    assert!(refusal.contains("in use already"), "{refusal}");
    let refusal = admin(other.directory(), &["move"]).refusal();
    assert!(refusal.contains("--to postgres://"), "{refusal}");
}

/// A command that is killed between the last word to the database and putting the file aside.
#[test]
fn a_move_that_was_interrupted_is_finished_and_nothing_starts_with_the_file() {
    let shared = Shared::empty();
    let (file, mark) = (
        shared.directory().join("countersign.db"),
        shared.directory().join("countersign.db.moving"),
    );
    Server::start_in(shared.directory(), &[]).kill();
    let to = ["move", "--to", shared.database.url()];
    let refuses = || {
        let mut serve = super::countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        for refusal in [
            run(serve.arg(shared.directory())).refusal(),
            admin(shared.directory(), &["accounts", "list"]).refusal(),
        ] {
            assert!(refusal.contains("countersign.db.moving"), "{refusal}");
            assert!(refusal.contains("was interrupted"), "{refusal}");
        }
    };
    // Before anything has moved, and after everything has.
    fs::write(&mark, "postgres://u@elsewhere:5432/house\n").unwrap();
    refuses();
    let refusal = admin(shared.directory(), &to).refusal();
    assert!(refusal.contains("cannot be moved to"), "{refusal}");
    assert!(mark.exists(), "nobody knows of the other one");
    let url: DatabaseUrl = shared.database.url().parse().unwrap();
    fs::write(&mark, format!("{url}\n")).unwrap();
    refuses();
    let moved = admin(shared.directory(), &to);
    assert!(moved.stdout.starts_with("moved 0 accounts"), "{}", moved.stdout);
    assert!(!mark.exists() && !file.exists());
    fs::rename(shared.directory().join("countersign.db.moved-1"), &file).unwrap();
    fs::write(&mark, format!("{url}\n")).unwrap();
    refuses();
    let said = admin(shared.directory(), &to).remark();
    assert!(said.contains("everything had moved before"), "{said}");
    assert!(!mark.exists() && !file.exists());
}

#[test]
fn a_house_whose_master_key_is_not_there_does_not_move() {
    let shared = Shared::empty();
    Server::start_in(shared.directory(), &[]).kill();
    let key = shared.directory().join("master.key");
    fs::rename(&key, shared.directory().join("elsewhere")).unwrap();
    let to = ["move", "--to", shared.database.url()];
    assert!(admin(shared.directory(), &to).refusal().contains("master.key"));
    assert!(shared.directory().join("countersign.db").exists());
    fs::rename(shared.directory().join("elsewhere"), &key).unwrap();
    admin(shared.directory(), &to).result();
}
