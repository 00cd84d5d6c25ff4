//! `admin accounts`.

use super::{Person, Server, admin, event_kinds, eventually, is_accepted, json_lines};

#[tokio::test]
async fn accounts_are_listed_by_name_a_page_at_a_time() {
    let server = Server::start(&[]);
    assert!(admin(server.data_dir(), &["accounts", "list", "--json"]).result().is_empty());
    for name in ["carol", "Alice", "bob"] {
        Person::registered(&server, name).await;
    }
    let table = admin(server.data_dir(), &["accounts", "list"]).result();
    let first_words: Vec<_> =
        table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(first_words, ["USERNAME", "Alice", "bob", "carol"]);

    let page = admin(server.data_dir(), &["accounts", "list", "--json", "--limit", "2"]);
    assert!(page.stderr.contains("--after bob"), "{}", page.stderr);
    let page = json_lines(&page.result());
    assert_eq!((page.len(), &page[0]["username"]), (2, &"Alice".into()));
    assert_eq!(page[0]["status"], "active");
    assert!(page[0]["registered_at"].as_str().unwrap().ends_with('Z'));
    assert!(page[0]["last_login_at"].is_null());

    let last = admin(server.data_dir(), &["accounts", "list", "--json", "--after", "BOB"]);
    assert_eq!(last.stderr, "");
    assert_eq!(json_lines(&last.result())[0]["username"], "carol");
}

#[tokio::test]
async fn one_account_is_shown_with_its_keys() {
    let server = Server::start(&[]);
    let alice = Person::registered(&server, "alice").await;
    alice.login(None).await.unwrap();
    let text = admin(server.data_dir(), &["accounts", "show", "ALICE"]).result();
    assert!(text.contains("username    alice\n"), "{text}");
    assert!(text.contains("keys        1 key live, 1 in all\n"), "{text}");
    assert!(text.contains(&alice.thumbprint().to_string()), "{text}");
    assert!(text.contains("laptop"), "{text}");

    let value = admin(server.data_dir(), &["accounts", "show", "alice", "--json"]).result();
    let value = &json_lines(&value)[0];
    assert_eq!(value["keys"][0]["thumbprint"], alice.thumbprint().to_string());
    assert!(value["last_login_at"].is_string());
    let by_id = value["id"].as_str().unwrap();
    let by_id = admin(server.data_dir(), &["accounts", "show", by_id, "--json"]).result();
    assert_eq!(&json_lines(&by_id)[0], value);
}

#[tokio::test]
async fn a_disabled_account_is_shut_out_of_a_running_server_until_it_is_enabled() {
    let server = Server::start(&[]);
    let (alice, bob) =
        (Person::registered(&server, "alice").await, Person::registered(&server, "bob").await);
    let login = alice.login(None).await.unwrap();
    let other = bob.login(None).await.unwrap();
    assert!(is_accepted(&login).await);

    admin(server.data_dir(), &["accounts", "disable", "alice"]).result();
    eventually("the token dies", async || !is_accepted(&login).await).await;
    assert!(alice.login(None).await.is_err());
    assert!(is_accepted(&other).await);

    admin(server.data_dir(), &["accounts", "enable", "alice"]).result();
    eventually("she logs in again", async || alice.login(None).await.is_ok()).await;
    assert!(is_accepted(&alice.login(None).await.unwrap()).await);
    assert!(!is_accepted(&login).await, "a token of before lives again");
}

#[tokio::test]
async fn scopes_are_granted_and_withdrawn_for_the_next_login() {
    let server = Server::start(&[]);
    let alice = Person::registered(&server, "alice").await;
    assert!(alice.login(Some("read")).await.is_err());

    let said = admin(server.data_dir(), &["accounts", "grant", "alice", "read", "orders:write"]);
    assert!(said.remark().contains("alice has orders:write read now"));
    eventually("the scope is granted", async || alice.login(Some("read")).await.is_ok()).await;

    let said = admin(server.data_dir(), &["accounts", "withdraw", "alice", "read"]);
    assert!(said.remark().contains("alice has orders:write now"));
    eventually("the scope is withdrawn", async || alice.login(Some("read")).await.is_err()).await;
    alice.login(Some("orders:write")).await.unwrap();
}

#[tokio::test]
async fn what_is_so_already_changes_nothing() {
    let server = Server::start(&[]);
    Person::registered(&server, "alice").await;
    let dir = server.data_dir();
    admin(dir, &["accounts", "grant", "alice", "read"]).result();
    let before = event_kinds(dir);
    for (args, remark) in [
        (&["accounts", "enable", "alice"][..], "alice is active already"),
        (&["accounts", "grant", "alice", "read"], "alice has read already"),
        (&["accounts", "withdraw", "alice", "write"], "alice does not have write"),
    ] {
        let said = admin(dir, args).remark();
        assert!(said.contains(remark), "{said}");
    }
    assert_eq!(event_kinds(dir), before);
}

#[tokio::test]
async fn an_unknown_account_and_a_malformed_scope_are_named() {
    let server = Server::start(&[]);
    Person::registered(&server, "alice").await;
    let dir = server.data_dir();
    for act in ["show", "disable", "enable"] {
        let refusal = admin(dir, &["accounts", act, "bob"]).refusal();
        assert!(refusal.contains("there is no account bob"), "{refusal}");
        assert!(refusal.contains("countersign admin accounts list"), "{refusal}");
    }
    for act in ["grant", "withdraw"] {
        let refusal = admin(dir, &["accounts", act, "bob", "read"]).refusal();
        assert!(refusal.contains("there is no account bob"), "{refusal}");
        let refusal = admin(dir, &["accounts", act, "alice", "a\"b"]).refusal();
        assert!(refusal.contains("a scope is 1 to 64 printable ASCII characters"), "{refusal}");
    }
    let many: Vec<String> = (0..33).map(|n| format!("scope{n}")).collect();
    let mut args = vec!["accounts", "grant", "alice"];
    args.extend(many.iter().map(String::as_str));
    assert!(admin(dir, &args).refusal().contains("more than 32 scopes"));
    let refusal = admin(dir, &["accounts", "show", "a b"]).refusal();
    assert!(refusal.contains("a username consists of"), "{refusal}");
}
