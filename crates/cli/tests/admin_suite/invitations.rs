//! `admin invite` and `admin invitations`.

use super::{Person, Server, admin, json_lines};

#[tokio::test]
async fn a_code_registers_one_account_with_its_scopes() {
    let server = Server::start(&["--enrolment", "invited"]);
    let dir = server.data_dir();
    let said = admin(dir, &["invite", "--scope", "read", "--scope", "orders:write"]);
    assert!(said.stderr.contains("registers anybody, once, until"), "{}", said.stderr);
    let page = format!("or in a browser: {}/register#code=CODE", server.url());
    assert!(said.stderr.contains(&page), "the code itself is on standard output: {}", said.stderr);
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

#[tokio::test]
async fn everybody_on_a_list_of_names_gets_a_code() {
    let server = Server::start(&["--enrolment", "invited"]);
    let dir = server.data_dir();
    let list = dir.join("names.txt");
    std::fs::write(&list, "alice\nbob\n").unwrap();
    let list = list.to_str().unwrap();
    let said = admin(dir, &["invite", "--names-from", list, "--scope", "read"]);
    assert!(said.stderr.contains("made 2 invitations"), "{}", said.stderr);
    let table = said.result();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["username", "code", "expires"]);
    assert_eq!((rows[1][0], rows[2][0], rows.len()), ("alice", "bob", 3));
    let (alice, bob) = (Person::new(&server, "alice").await, Person::new(&server, "bob").await);
    assert!(alice.register(Some(rows[2][1])).await.is_err(), "each is for one name");
    alice.register(Some(rows[1][1])).await.unwrap();
    bob.register(Some(rows[2][1])).await.unwrap();
    alice.login(Some("read")).await.unwrap();

    std::fs::write(list, "carol\n").unwrap();
    let invite = ["invite", "--names-from", list];
    assert!(!admin(dir, &invite).stderr.contains("an earlier code"));
    let again = admin(dir, &invite).stderr;
    assert!(again.contains("an earlier code works too for carol: "), "{again}");

    std::fs::write(list, "carol\nalice\nb b\n").unwrap();
    let refusal = admin(dir, &["invite", "--names-from", list]).refusal();
    assert!(refusal.contains("nobody is invited") && refusal.contains("line 3:"), "{refusal}");
    std::fs::write(list, "carol\nalice\n").unwrap();
    let refusal = admin(dir, &["invite", "--names-from", list]).refusal();
    assert!(refusal.contains("line 2: alice has an account already"), "{refusal}");
    assert_eq!(json_lines(&admin(dir, &["invitations", "list", "--json"]).result()).len(), 4);
}

#[test]
fn lists_come_from_standard_input_too() {
    let dir = super::used_data_dir();
    for (args, input) in [
        (["invite", "--names-from", "-"], "alice\nbob\n"),
        (["invite", "--import", "-"], "User ID;Password\r\ne1;F7oGM2K9Q1vZxLp\r\n"),
    ] {
        let list = dir.path().join("list");
        std::fs::write(&list, input).unwrap();
        let mut command = super::admin_command(dir.path(), &args);
        command.stdin(std::fs::File::open(&list).unwrap());
        super::run(&mut command).result();
    }
    let list = json_lines(&admin(dir.path(), &["invitations", "list", "--json"]).result());
    assert_eq!(list.len(), 3);
    let empty = admin(dir.path(), &["invite", "--names-from", "-"]).refusal();
    assert!(empty.contains("standard input has bad lines"), "{empty}");
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
