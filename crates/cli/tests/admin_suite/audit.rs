//! `admin audit`.

use std::path::Path;

use serde_json::Value;

use super::{Person, Server, admin, admin_with, json_lines};

#[tokio::test]
async fn the_trail_is_read_newest_last_and_filtered() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let (alice, bob) =
        (Person::registered(&server, "alice").await, Person::registered(&server, "bob").await);
    alice.login(None).await.unwrap();
    bob.login(None).await.unwrap();
    admin(dir, &["accounts", "disable", "bob"]).result();

    let all = events(dir, &[]);
    let ids: Vec<_> = all.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted());
    let last = all.last().unwrap();
    assert_eq!((&last["event"], &last["username"]), (&"account.disabled".into(), &"bob".into()));
    assert!(last["address"].is_null(), "an administrator has no address");

    let of_alice = events(dir, &["--account", "alice"]);
    assert_eq!(kinds(&of_alice), ["account.registered", "login.succeeded"]);
    assert_eq!(of_alice[1]["address"], "127.0.0.1");
    assert_eq!(of_alice[1]["thumbprint"], alice.thumbprint().to_string());
    let of_key = events(dir, &["--key", &bob.thumbprint().to_string()]);
    assert_eq!(kinds(&of_key), ["account.registered", "login.succeeded"]);
    assert_eq!(events(dir, &["--event", "login.succeeded"]).len(), 2);
    assert_eq!(events(dir, &["--event", "login.succeeded", "--account", "bob"]).len(), 1);
    let newest = admin(dir, &["audit", "--limit", "1", "--json"]);
    assert!(newest.stderr.contains("there are older ones"), "{}", newest.stderr);
    assert_eq!(json_lines(&newest.result()), std::slice::from_ref(last));
}

#[tokio::test]
async fn the_trail_is_read_for_a_span_of_time() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    Person::registered(&server, "alice").await;
    let all = events(dir, &[]);
    let exactly = all.last().unwrap()["at"].as_str().unwrap();
    assert_eq!(events(dir, &["--since", exactly]).last(), all.last());
    assert!(events(dir, &["--until", exactly]).len() < all.len());
    assert_eq!(events(dir, &["--since", "7d"]), all);
    assert_eq!(events(dir, &["--until", "7d"]), Vec::<Value>::new());
    assert_eq!(events(dir, &["--since", "2000-01-01", "--until", "9999-12-31"]), all);
    assert_eq!(events(dir, &["--since", "9999-12-31"]), Vec::<Value>::new());
}

#[tokio::test]
async fn people_get_a_table() {
    let server = Server::start(&[]);
    Person::registered(&server, "alice").await;
    let table = admin(server.data_dir(), &["audit", "--account", "alice"]).result();
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME                  EVENT"), "{table}");
    assert!(lines[1].contains("account.registered  alice    127.0.0.1"), "{table}");
}

#[tokio::test]
async fn the_label_of_a_key_stands_beside_its_thumbprint() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let alice = Person::registered(&server, "alice").await;
    let of_alice = events(dir, &["--account", "alice"]);
    assert_eq!(of_alice[0]["label"], "laptop");
    let table = admin(dir, &["audit", "--account", "alice"]).result();
    assert!(table.contains(&format!("{}  laptop  -", alice.thumbprint())), "{table}");
}

#[tokio::test]
async fn acts_of_administrators_name_who_did_it_and_why() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    Person::registered(&server, "alice").await;
    let uid = rustix::process::getuid().as_raw();
    let newest = || events(dir, &["--limit", "1"]).remove(0);

    admin(dir, &["accounts", "disable", "alice"]).result();
    assert_eq!(newest()["actor"], format!("uid {uid}"), "there is no name in the environment");
    assert_eq!(newest()["reason"], Value::Null);
    let why = ["--as", "erika", "--reason", "it's back, ticket 'x'; DROP TABLE"];
    admin(dir, &[&["accounts", "enable", "alice"][..], &why].concat()).result();
    assert_eq!(newest()["actor"], format!("erika (uid {uid})"));
    assert_eq!(newest()["reason"], why[3]);
    for (variable, name) in [("SUDO_USER", "jan"), ("COUNTERSIGN_ACTOR", "otto")] {
        admin_with(dir, (variable, name), &["invite", "bob"]).result();
        assert_eq!(newest()["actor"], format!("{name} (uid {uid})"));
    }
    admin(dir, &["signing-keys", "rotate", "--as", "erika"]).result();
    assert_eq!(newest()["event"], "signing-key.rotated");
    assert_eq!(newest()["actor"], format!("erika (uid {uid})"));
    let backup = dir.join("backup.db");
    admin(dir, &["backup", backup.to_str().unwrap(), "--as", "erika"]).result();
    assert_eq!(newest()["actor"], format!("erika (uid {uid})"));

    let table = admin(dir, &["audit", "--account", "alice"]).result();
    assert!(table.contains(&format!("erika (uid {uid})  because: it's back")), "{table}");
    let of_others = events(dir, &["--event", "account.registered"]);
    assert_eq!(of_others[0]["actor"], Value::Null, "what users do has no actor");
    let refusal = admin(dir, &["invite", "eve", "--as", "a\nb"]).refusal();
    assert!(refusal.contains("the name for the audit trail has 1 to 100"), "{refusal}");
}

#[tokio::test]
async fn a_registration_says_by_which_invitation_it_was() {
    let server = Server::start(&["--enrolment", "invited"]);
    let dir = server.data_dir();
    let code = admin(dir, &["invite", "alice", "--as", "erika"]).result();
    let alice = Person::new(&server, "alice").await;
    alice.register(Some(code.trim())).await.unwrap();
    let created = events(dir, &["--event", "invitation.created"]).remove(0);
    let (id, whom) = created["detail"].as_str().unwrap().split_once(' ').unwrap();
    assert_eq!((id.len(), whom), (12, "for alice"));
    let registered = events(dir, &["--event", "account.registered"]).remove(0);
    assert_eq!(registered["detail"], format!("invitation {id}"));
    assert!(admin(dir, &["invitations", "list"]).result().contains(id));
}

#[test]
fn what_the_schedule_of_signing_keys_does_is_shown_when_it_is_asked_for() {
    let dir = super::used_data_dir();
    let shown = |args: &[&str]| kinds(&events(dir.path(), args)).join(" ");
    assert!(!shown(&[]).contains("signing-key.created"));
    assert!(shown(&["--all"]).contains("signing-key.created"));
    assert!(shown(&["--event", "signing-key.created"]).contains("signing-key.created"));
    admin(dir.path(), &["signing-keys", "rotate"]).result();
    assert!(shown(&[]).contains("signing-key.rotated"), "that was an administrator");
}

#[test]
fn what_cannot_be_asked_for_is_explained() {
    let dir = super::used_data_dir();
    let refusal = admin(dir.path(), &["audit", "--event", "login"]).refusal();
    assert!(refusal.contains("account.disabled, account.enabled"), "{refusal}");
    assert!(refusal.contains("token.revoked"), "{refusal}");
    let refusal = admin(dir.path(), &["audit", "--since", "yesterday"]).refusal();
    assert!(refusal.contains("2026-03-01T09:30:00Z"), "{refusal}");
    let refusal = admin(dir.path(), &["audit", "--account", "bob"]).refusal();
    assert!(refusal.contains("there is no account bob"), "{refusal}");
    assert!(admin(dir.path(), &["audit", "--limit", "0"]).refusal().contains("0 is not in 1.."));
}

fn events(data_dir: &Path, args: &[&str]) -> Vec<Value> {
    json_lines(&admin(data_dir, &[&["audit", "--json"], args].concat()).result())
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}
