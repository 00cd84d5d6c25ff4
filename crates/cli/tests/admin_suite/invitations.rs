//! `admin invite` and `admin invitations`.

use super::{Person, Server, admin, json_lines};

#[tokio::test]
async fn a_code_registers_one_account_with_its_scopes() {
    let server = Server::start(&["--enrolment", "invited"]);
    let dir = server.data_dir();
    let said = admin(dir, &["invite", "--scope", "read", "--scope", "orders:write"]);
    assert!(said.stderr.contains("registers anybody, once, until"), "{}", said.stderr);
    let code = said.result();
    let code = code.strip_suffix('\n').unwrap();
    assert!(code.starts_with("csi_") && !code.contains('\n'), "nothing but the code: {code:?}");

    let (alice, bob) = (Person::new(&server, "alice").await, Person::new(&server, "bob").await);
    assert!(alice.register(None).await.is_err());
    alice.register(Some(code)).await.unwrap();
    alice.login(Some("orders:write read")).await.unwrap();
    assert!(bob.register(Some(code)).await.is_err());

    let list = json_lines(&admin(dir, &["invitations", "list", "--json"]).result());
    assert_eq!((list.len(), &list[0]["state"]), (1, &"used".into()));
    assert_eq!(list[0]["scopes"], serde_json::json!(["orders:write", "read"]));
}

#[tokio::test]
async fn a_code_for_somebody_registers_nobody_else() {
    let server = Server::start(&["--enrolment", "invited"]);
    let code = admin(server.data_dir(), &["invite", "alice", "--expires", "2h"]).result();
    let (alice, bob) = (Person::new(&server, "alice").await, Person::new(&server, "bob").await);
    assert!(bob.register(Some(code.trim())).await.is_err());
    alice.register(Some(code.trim())).await.unwrap();
    let refusal = admin(server.data_dir(), &["invite", "Alice"]).refusal();
    assert!(refusal.contains("has an account already"), "{refusal}");
}

#[tokio::test]
async fn a_withdrawn_code_does_not_work() {
    let server = Server::start(&["--enrolment", "invited"]);
    let dir = server.data_dir();
    let code = admin(dir, &["invite", "alice"]).result();
    admin(dir, &["invite", "bob"]).result();
    let table = admin(dir, &["invitations", "list"]).result();
    let row = table.lines().find(|line| line.contains("alice")).unwrap();
    let prefix = row.split_whitespace().next().unwrap();
    assert!(row.contains("  open  "), "{row}");
    assert_eq!(prefix.len(), 12);

    let said = admin(dir, &["invitations", "withdraw", &prefix.to_uppercase()]).remark();
    assert!(said.contains(&format!("withdrew the invitation {prefix}")), "{said}");
    let alice = Person::new(&server, "alice").await;
    assert!(alice.register(Some(code.trim())).await.is_err());
    assert_eq!(json_lines(&admin(dir, &["invitations", "list", "--json"]).result()).len(), 1);
    let refusal = admin(dir, &["invitations", "withdraw", prefix]).refusal();
    assert!(refusal.contains("no unused invitation"), "{refusal}");
    let more = admin(dir, &["invitations", "withdraw", "12"]).refusal();
    assert!(more.contains("at least four"), "{more}");
}

#[test]
fn an_invitation_needs_a_time_in_which_it_works() {
    let dir = super::used_data_dir();
    let refusal = admin(dir.path(), &["invite", "--expires", "0s"]).refusal();
    assert!(refusal.contains("--expires must not be zero"), "{refusal}");
    let refusal = admin(dir.path(), &["invite", "--expires", "7"]).refusal();
    assert!(refusal.contains("90s, 15m, 12h, 7d or 2w"), "{refusal}");
    let refusal = admin(dir.path(), &["invite", "a/b"]).refusal();
    assert!(refusal.contains("a username consists of"), "{refusal}");
    assert!(admin(dir.path(), &["invitations", "list", "--json"]).result().is_empty());
}

#[test]
fn an_invitation_to_a_server_that_registers_nobody_is_remarked_on() {
    let dir = super::used_data_dir();
    let closed = ("COUNTERSIGN_ENROLMENT", "closed");
    let said = super::admin_with(dir.path(), closed, &["invite"]).remark();
    assert!(said.contains("WARNING: by this configuration enrolment is closed"), "{said}");
}
