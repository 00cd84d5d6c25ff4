//! `admin keys`.

use countersign_protocol::keys::{NewKey, PrivateKey};

use super::{Person, Server, admin, eventually, is_accepted, json_lines};

#[tokio::test]
async fn a_revoked_key_and_its_tokens_die_on_a_running_server() {
    let server = Server::start(&[]);
    let alice = Person::registered(&server, "alice").await;
    let login = alice.login(None).await.unwrap();
    let thumbprint = alice.thumbprint().to_string();

    let said = admin(server.data_dir(), &["keys", "revoke", "alice", &thumbprint]).remark();
    assert!(said.contains("alice has no key left"), "{said}");
    eventually("the token dies", async || !is_accepted(&login).await).await;
    assert!(alice.login(None).await.is_err());

    let keys = admin(server.data_dir(), &["keys", "list", "alice", "--json"]).result();
    let keys = json_lines(&keys);
    assert_eq!(keys[0]["thumbprint"], thumbprint);
    assert!(keys[0]["revoked_at"].is_string());
    let table = admin(server.data_dir(), &["keys", "list", "alice"]).result();
    assert!(table.starts_with("THUMBPRINT"), "{table}");
    assert!(table.contains("laptop  key   Ed25519"), "{table}");

    let again = admin(server.data_dir(), &["keys", "revoke", "alice", &thumbprint]).refusal();
    assert!(again.contains(&format!("alice has no live key {thumbprint}")), "{again}");
    assert!(again.contains("countersign admin keys list alice"), "{again}");
}

#[tokio::test]
async fn a_thumbprint_that_begins_with_a_hyphen_is_no_option() {
    let server = Server::start(&[]);
    let key = std::iter::repeat_with(|| PrivateKey::generate(NewKey::Ed25519).unwrap())
        .find(|key| key.public_key().thumbprint().to_string().starts_with('-'))
        .unwrap();
    let alice = Person::with_key(&server, "alice", key).await;
    alice.register(None).await.unwrap();
    let thumbprint = alice.thumbprint().to_string();
    let dir = server.data_dir();
    admin(dir, &["keys", "revoke", "alice", &thumbprint]).result();
    let events = admin(dir, &["audit", "--json", "--key", &thumbprint]).result();
    assert_eq!(json_lines(&events).last().unwrap()["event"], "key.revoked");
}

#[tokio::test]
async fn a_key_of_nobody_or_of_somebody_else_is_refused() {
    let server = Server::start(&[]);
    let alice = Person::registered(&server, "alice").await;
    Person::registered(&server, "bob").await;
    let (dir, thumbprint) = (server.data_dir(), alice.thumbprint().to_string());
    let refusal = admin(dir, &["keys", "revoke", "bob", &thumbprint]).refusal();
    assert!(refusal.contains("bob has no live key"), "{refusal}");
    let refusal = admin(dir, &["keys", "revoke", "nobody", &thumbprint]).refusal();
    assert!(refusal.contains("there is no account nobody"), "{refusal}");
    let refusal = admin(dir, &["keys", "list", "nobody"]).refusal();
    assert!(refusal.contains("there is no account nobody"), "{refusal}");
    assert!(admin(dir, &["keys", "revoke", "alice", "abc"]).refusal().contains("thumbprint"));
    alice.login(None).await.unwrap();
}
