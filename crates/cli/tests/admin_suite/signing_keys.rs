//! `admin signing-keys`.

use std::{path::Path, process::Stdio};

use countersign_client::Login;
use countersign_protocol::strict::base64url;
use serde_json::Value;

use super::{
    Person, Server, admin, admin_command, admin_with, event_kinds, eventually, is_accepted,
    json_lines,
};

#[tokio::test]
async fn after_a_rotation_another_key_signs_and_old_tokens_stay_good() {
    let server = Server::start(&[]);
    let alice = Person::registered(&server, "alice").await;
    let before = alice.login(None).await.unwrap();
    assert_eq!(kids(server.data_dir(), "active"), [kid(&before)]);

    let table = admin(server.data_dir(), &["signing-keys", "rotate"]);
    assert!(table.stderr.contains("good until they end"), "{}", table.stderr);
    assert!(table.result().contains("ES256"));
    eventually("another key signs", async || {
        kid(&alice.login(None).await.unwrap()) != kid(&before)
    })
    .await;
    assert!(is_accepted(&before).await);
    let after = alice.login(None).await.unwrap();
    assert_eq!(kids(server.data_dir(), "active"), [kid(&after)]);
    assert_eq!(kids(server.data_dir(), "retired"), [kid(&before)]);
    assert!(event_kinds(server.data_dir()).contains(&"signing-key.rotated".to_owned()));
}

#[tokio::test]
async fn the_tokens_of_a_withdrawn_key_die() {
    let server = Server::start(&[]);
    let alice = Person::registered(&server, "alice").await;
    let before = alice.login(None).await.unwrap();
    assert!(is_accepted(&before).await);
    admin(server.data_dir(), &["signing-keys", "rotate", "--withdraw"]).result();
    eventually("the token dies", async || !is_accepted(&before).await).await;
    let after = alice.login(None).await.unwrap();
    assert!(is_accepted(&after).await);
    assert_ne!(kid(&after), kid(&before));
}

#[test]
fn rotations_by_several_processes_at_once_leave_one_key_that_signs() {
    let server = Server::start(&[]);
    let rotate = || {
        let mut command = admin_command(server.data_dir(), &["signing-keys", "rotate"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let commands: Vec<_> = (0..4).map(|_| rotate()).collect();
    for command in commands {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(kids(server.data_dir(), "active").len(), 1);
    let retired = kids(server.data_dir(), "retired").len();
    assert!((1..=4).contains(&retired), "{retired}");
}

#[test]
fn the_list_of_a_new_server_explains_the_key_that_is_over() {
    let server = Server::start(&[]);
    let said = admin(server.data_dir(), &["signing-keys", "list"]);
    assert!(said.stdout.contains("gone"), "{}", said.stdout);
    assert!(said.stderr.contains("jwks-server") && said.stderr.contains("expired=true"));
    let said = admin(server.data_dir(), &["signing-keys", "list", "--json"]);
    assert_eq!(said.stderr, "", "a program needs no explanation");
}

#[test]
fn keys_are_not_rotated_by_another_configuration_than_the_servers() {
    let server = Server::start(&[]);
    let other = ("COUNTERSIGN_SIGNING_KEYS_ALGORITHM", "EdDSA");
    let dir = server.data_dir();
    let before = admin(dir, &["signing-keys", "list", "--json"]).result();
    let refusal = admin_with(dir, other, &["signing-keys", "rotate"]).refusal();
    assert!(refusal.contains("the server signs with ES256"), "{refusal}");
    assert!(refusal.contains("--config"), "{refusal}");
    assert_eq!(admin(dir, &["signing-keys", "list", "--json"]).result(), before);
}

#[test]
fn rotating_works_without_a_server_and_needs_the_master_key() {
    let dir = super::used_data_dir();
    admin(dir.path(), &["signing-keys", "rotate"]).result();
    let wrong = ("COUNTERSIGN_MASTER_KEY", "another");
    let before = super::snapshot(dir.path());
    let refusal = admin_with(dir.path(), wrong, &["signing-keys", "rotate"]).refusal();
    assert!(refusal.contains("wrong master key in COUNTERSIGN_MASTER_KEY"), "{refusal}");
    assert!(refusal.contains("master.key, or not be set"), "{refusal}");
    assert_eq!(super::snapshot(dir.path()), before);
    assert_eq!(kids(dir.path(), "active").len(), 1);
}

/// The `kid` of all keys for access tokens in `state`.
fn kids(data_dir: &Path, state: &str) -> Vec<String> {
    let keys = admin(data_dir, &["signing-keys", "list", "--json"]).result();
    let keys = json_lines(&keys)
        .into_iter()
        .filter(|key| key["state"] == state && key["algorithm"] == "ES256");
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The `kid` of the key that signed the login's token.
fn kid(login: &Login) -> String {
    let token = login.token();
    let (header, _) = token.expose().split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&base64url::decode(header).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
