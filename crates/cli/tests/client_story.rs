//! The story of a user, from the first key to the last.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod support;
mod user;

use support::Server;
use user::{User, write_private};

/// The value of a line `name  value`.
fn fact<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text
        .lines()
        .map(str::trim)
        .find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).trim()
}

#[test]
fn every_command_takes_the_entry_as_call_does() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.does(&["register", "alice"]);
    user.does(&["register", "bob"]);
    assert!(user.does(&["login", "--as", "bob"]).starts_with("logged in as bob "));
    assert_eq!(fact(&user.does(&["whoami", "--as", "bob"]), "username"), "bob");
    assert!(user.does(&["logout", "--as", "bob"]).starts_with("bob is logged out "));
    let both = user.run(&["whoami", "alice", "--as", "bob"]);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
    let key = ["--key", "key.pem", "--username", "bob"];
    for command in ["login", "whoami"] {
        let both = user.run(&[&[command, "--as", "bob"][..], &key].concat());
        assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
    }
}

#[test]
fn a_login_that_nobody_asked_for_is_told() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.does(&["register", "alice"]);
    user.does(&["login"]);
    assert_eq!(user.run(&["whoami"]).stderr, "");
    assert!(user.run(&["logout"]).stderr.contains("the next command logs in with it"));
    assert_eq!(user.run(&["whoami"]).stderr, "there was no token, so this was a login\n");
    assert_eq!(user.run(&["whoami"]).stderr, "");
}

#[test]
fn register_log_in_call_add_revoke_log_out() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());

    let registered = alice.does(&["register", "alice", "--label", "laptop"]);
    assert!(registered.starts_with(&format!("alice is registered at {}\n", server.url())));
    let key = fact(&registered, "key").split(' ').next().unwrap();
    assert_eq!(key.len(), 43);

    // It logs in by itself; `login` only gets a new token.
    let who = alice.does(&["whoami"]);
    assert_eq!(fact(&who, "username"), "alice");
    assert_eq!(fact(&who, "account"), fact(&registered, "account"));
    assert_eq!(fact(&who, "key"), key);
    assert!(fact(&who, "until").ends_with('Z'));
    let logged_in = alice.does(&["login"]);
    assert!(logged_in.starts_with(&format!("logged in as alice at {} until 2", server.url())));
    assert!(alice.does(&["keyring", "list"]).contains("logged in until"));
    assert!(alice.does(&["whoami", "--json"]).contains("\"username\": \"alice\""));
    assert!(alice.does(&["call", "GET", "/v1/whoami"]).contains("\"proof\":\"dpop\""));

    let added = alice.does(&["keys", "add", "--new", "--key-type", "ed25519", "--label", "phone"]);
    let phone = fact(&added, "key").split(' ').next().unwrap();
    assert!(added.starts_with("alice-2 now logs in to alice"));

    // Only a key that agrees can be added.
    alice.openssl("genpkey -algorithm ED25519 -out private.pem");
    alice.openssl("pkey -in private.pem -pubout -out public.pem");
    let public = alice.fails(&["keys", "add", "--key", "public.pem", "--as", "alice"]);
    assert!(public.contains("must prove itself"), "{public}");
    let known = alice.does(&["keyring", "export", "alice", "--reveal-private-key"]);
    write_private(&alice.path("known.pem"), &known);
    let known = alice.fails(&["keys", "add", "--key", "known.pem", "--as", "alice"]);
    assert!(known.contains("has this key already, as alice"), "{known}");

    // Two entries: which one?
    let which = alice.fails(&["keys", "list"]);
    assert!(which.contains("such as `--as alice`:\n  alice    alice at http"), "{which}");
    assert!(alice.fails(&["whoami"]).contains("such as `alice`:"));
    assert!(alice.fails(&["whoami", "bob"]).contains("no entry bob; it has:\n  alice "));

    let list = alice.does(&["keys", "list", "--as", "alice-2"]);
    let rows: Vec<_> = list.lines().collect();
    assert_eq!(rows.len(), 3, "{list}");
    assert!(rows[1].starts_with(&format!("{key}  laptop  key   2")) && rows[1].ends_with("live"));
    assert!(rows[2].starts_with(&format!("{phone}  phone   key   2")));
    assert!(rows[2].ends_with("live, this one"));

    // Revoking takes the token along.
    assert!(alice.does(&["keys", "revoke", phone, "--as", "alice"]).contains("is revoked"));
    let refused = alice.fails(&["whoami", "alice-2"]);
    assert!(refused.contains("invalid_grant"), "{refused}");
    assert!(refused.contains("the present one is refused"), "{refused}");
    assert!(refused.contains("the key is revoked, or the account disabled"), "{refused}");
    assert!(alice.fails(&["login", "alice-2"]).contains("invalid_grant"));
    let json = alice.does(&["keys", "list", "--json", "--as", "alice"]);
    assert!(json.contains("\"current\": true") && json.contains("\"revoked_at\": 1"), "{json}");
    let last = alice.fails(&["keys", "revoke", key, "--as", "alice"]);
    assert!(last.contains("last-key") && last.contains("keys add"), "{last}");
    alice.does(&["keyring", "remove", "alice-2", "--yes"]);

    // A token that was logged out is dead, even for whoever kept it.
    let said = alice.run(&["logout"]);
    assert!(said.stdout.contains("alice is logged out"));
    assert!(said.stderr.contains("the next command logs in with it"), "{}", said.stderr);
    assert!(said.stderr.contains("countersign keyring remove alice"), "{}", said.stderr);
    assert!(alice.does(&["keyring", "list"]).contains("logged out"));
    assert_eq!(alice.does(&["logout"]), "");
}

#[test]
fn a_token_whose_signing_key_was_withdrawn_is_replaced_by_one_login() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    let kids = || {
        let published = alice.does(&["call", "GET", "/.well-known/jwks.json"]);
        let keys: serde_json::Value = serde_json::from_str(&published).unwrap();
        let keys = keys["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let token_id = || {
        let who = alice.does(&["whoami", "--json"]);
        serde_json::from_str::<serde_json::Value>(&who).unwrap()["token_id"].clone()
    };
    let (before, old) = (token_id(), kids());
    let mut withdraw = support::countersign(["admin", "--data-dir"]);
    withdraw.arg(server.data_dir()).args(["signing-keys", "rotate", "--withdraw"]);
    assert!(withdraw.status().unwrap().success());
    let withdrawn = (0..300).any(|_| kids().iter().all(|kid| !old.contains(kid)));
    assert!(withdrawn, "the key is still published");
    let after = token_id();
    assert_ne!(after, before);
    assert_eq!(token_id(), after, "the new one is kept");
    let reached = alice.does(&["call", "GET", "/v1/whoami"]);
    assert!(reached.contains(after.as_str().unwrap()), "{reached}");
}

#[test]
fn a_refused_login_in_place_of_a_refused_token_is_what_is_reported() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    alice.does(&["whoami"]);
    let mut disable = support::countersign(["admin", "--data-dir"]);
    disable.arg(server.data_dir()).args(["accounts", "disable", "alice"]);
    assert!(disable.status().unwrap().success());
    let is_refused = (0..300).any(|_| alice.run(&["whoami"]).status != 0);
    assert!(is_refused, "the token still works");
    for command in [&["whoami"][..], &["keys", "list"]] {
        let refused = alice.fails(command);
        assert!(refused.contains("invalid_grant"), "{refused}");
        assert!(refused.contains("that was the login for another token"), "{refused}");
        assert!(!refused.contains("gets a new token"), "{refused}");
    }
    let called = alice.run(&["call", "GET", "/v1/whoami"]).stderr;
    assert!(called.contains("the login for another one too: "), "{called}");
}

#[test]
fn a_login_for_some_scopes_is_renewed_for_these_alone() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    let mut grant = support::countersign(["admin", "--data-dir"]);
    grant.arg(server.data_dir()).args(["accounts", "grant", "alice", "read", "write"]);
    assert!(grant.status().unwrap().success());
    alice.does(&["login", "--scope", "read"]);
    let who = || {
        let who = alice.does(&["whoami", "--json"]);
        serde_json::from_str::<serde_json::Value>(&who).unwrap()
    };
    let before = who();
    let mut withdraw = support::countersign(["admin", "--data-dir"]);
    withdraw.arg(server.data_dir()).args(["signing-keys", "rotate", "--withdraw"]);
    assert!(withdraw.status().unwrap().success());
    let after = (0..300).map(|_| who()).find(|who| who["token_id"] != before["token_id"]);
    assert_eq!(after.expect("another token")["scopes"], serde_json::json!(["read"]));
    alice.does(&["login"]);
    assert_eq!(who()["scopes"], serde_json::json!(["read", "write"]));
}

#[test]
fn a_key_is_revoked_together_with_what_it_has_let_in() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice", "--label", "laptop"]);
    for (name, signer) in [("phone", "alice"), ("second", "phone"), ("third", "second")] {
        alice.does(&["keys", "add", "--new", "--name", name, "--label", name, "--as", signer]);
    }
    let list = || alice.does(&["keys", "list", "--json", "--as", "alice"]);
    let keys: serde_json::Value = serde_json::from_str(&list()).unwrap();
    let of = |label: &str| {
        let keys = keys["keys"].as_array().unwrap().iter();
        keys.clone().find(|key| key["label"] == label).unwrap().clone()
    };
    let thumbprint = |label: &str| of(label)["thumbprint"].as_str().unwrap().to_owned();
    assert_eq!(of("laptop")["added_by"], serde_json::Value::Null);
    assert_eq!(of("third")["added_by"], of("second")["thumbprint"]);

    let third = thumbprint("third");
    let renamed = alice.does(&["keys", "rename", &third, "old tablet", "--as", "alice"]);
    assert!(renamed.contains("is now called old tablet"), "{renamed}");
    assert!(list().contains("old tablet"));

    let said = alice.run(&["keys", "revoke", &thumbprint("second"), "--as", "alice"]);
    assert!(said.stderr.contains(&third), "it names what it had added: {}", said.stderr);
    let phone = thumbprint("phone");
    let said = alice.does(&["keys", "revoke", &phone, "--with-added", "--as", "alice"]);
    assert!(said.contains(&phone) && said.contains(&third), "{said}");
    assert!(alice.fails(&["login", "third"]).contains("invalid_grant"));
    alice.does(&["whoami", "alice"]);
}

#[test]
fn secrets_are_printed_only_when_asked_for() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    let token = alice.does(&["login", "--print-token"]);
    assert_eq!(token.lines().count(), 1);
    assert_eq!(token.split('.').count(), 3, "a JWT");
    let pem = alice.does(&["keyring", "export", "alice", "--reveal-private-key"]);
    let secret = pem.lines().nth(1).unwrap();
    assert!(alice.fails(&["keyring", "export", "alice"]).contains("--reveal-private-key"));

    for args in [
        &["login"][..],
        &["whoami", "--json"],
        &["keys", "list", "--json"],
        &["keyring", "list", "--json"],
        &["keyring", "show", "alice", "--json"],
        &["keyring", "show", "alice"],
        &["call", "GET", "/v1/whoami", "-i"],
        &["logout"],
    ] {
        let said = alice.run(args);
        for text in [said.stdout, said.stderr] {
            assert!(!text.contains("eyJ") && !text.contains(secret), "{args:?}\n{text}");
        }
    }
}

#[test]
fn keys_made_by_openssl_work_without_a_keyring() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.openssl("genpkey -algorithm ED25519 -out ed25519.pem");
    user.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.pem");
    user.openssl("ecparam -name prime256v1 -genkey -noout -out p256-sec1.pem");
    user.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem");
    user.openssl("ecparam -name secp384r1 -genkey -noout -out p384-sec1.pem");
    user.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa2048.pem");
    user.openssl("rsa -traditional -in rsa2048.pem -out rsa2048-pkcs1.pem");
    user.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out rsa3072.pem");
    user.openssl("pkcs8 -topk8 -nocrypt -in p384.pem -outform DER -out p384.der");

    for (file, kind) in [
        ("ed25519.pem", "Ed25519"),
        ("p256.pem", "EC P-256"),
        ("p256-sec1.pem", "EC P-256"),
        ("p384.pem", "EC P-384"),
        ("p384-sec1.pem", "EC P-384"),
        ("rsa2048.pem", "RSA 2048"),
        ("rsa3072.pem", "RSA 3072"),
    ] {
        let name = file.replace('.', "-");
        let registered = user.does(&["register", &name, "--key", file]);
        assert!(fact(&registered, "key").ends_with(&format!("({kind})")), "{registered}");
        let who = user.does(&["whoami", "--key", file, "--username", &name]);
        assert_eq!(fact(&who, "username"), name);
    }

    // Other forms of the same keys.
    for (file, name) in [("rsa2048-pkcs1.pem", "rsa2048-pem"), ("p384.der", "p384-pem")] {
        let identity = ["--key", file, "--username", name];
        let call = [&["call", "GET", "/v1/whoami"][..], &identity].concat();
        assert!(user.does(&call).contains(name));
        let login = [&["login", "--print-token"][..], &identity].concat();
        assert!(user.does(&login).starts_with("eyJ"));
    }

    user.openssl("genpkey -algorithm ED25519 -out robot.pem");
    let robot = user.does(&["register", "robot", "--key", "robot.pem", "--no-keyring"]);
    assert!(fact(&robot, "key").ends_with("(Ed25519)"), "{robot}");
    user.does(&["whoami", "--key", "robot.pem", "--username", "robot"]);
    assert!(!user.does(&["keyring", "list"]).contains("robot"));

    // A further key, added without a keyring and revoked by itself.
    user.openssl("genpkey -algorithm ED25519 -out spare.pem");
    let account = ["--username", "ed25519-pem"];
    let add = ["keys", "add", "--key", "spare.pem", "--signing-key", "ed25519.pem"];
    let added = user.does(&[&add[..], &account].concat());
    let spare = added.strip_suffix(" now logs in to ed25519-pem too\n").unwrap();
    let with_spare = [&["--key", "spare.pem"][..], &account].concat();
    assert!(user.does(&[&["keys", "list"][..], &with_spare].concat()).contains("live, this one"));
    user.does(&[&["keys", "revoke", spare][..], &with_spare].concat());
    assert!(user.fails(&[&["whoami"][..], &with_spare].concat()).contains("invalid_grant"));
    assert!(!user.does(&["keyring", "list"]).contains("ed25519-pem-2"));
}

#[test]
fn every_type_of_key_can_be_made() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    for (key_type, kind) in [
        ("ed25519", "Ed25519"),
        ("p256", "EC P-256"),
        ("p384", "EC P-384"),
        ("rsa2048", "RSA 2048"),
        ("rsa3072", "RSA 3072"),
        ("rsa4096", "RSA 4096"),
    ] {
        let registered = user.does(&["register", key_type, "--key-type", key_type]);
        assert!(fact(&registered, "key").ends_with(&format!("({kind})")), "{registered}");
    }
}
