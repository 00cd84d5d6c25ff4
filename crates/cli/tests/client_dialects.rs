//! The one client in the dialects.

mod support;
mod user;

use std::{fs, os::unix::fs::PermissionsExt as _};

use support::Server;
use user::{User, write_private};

#[test]
fn passwordless_verifies_the_server_before_it_signs() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice", "--dialect", "passwordless", "--key-type", "rsa2048"]);
    let login = ["login", "--dialect", "passwordless"];
    assert!(alice.does(&login).starts_with("logged in as alice at "));
    let who = alice.does(&["whoami"]);
    assert!(who.contains("username  alice\n") && who.contains("proof     dpop\n"), "{who}");
    alice.does(&["logout"]);
    assert_eq!(alice.run(&["logout"]).stderr, "alice is not logged in\n");
    // The account is one like any other.
    alice.does(&["login"]);
    alice.does(&["login", "--dialect", "self-signed"]);

    let bob = User::of(server.url());
    bob.does(&["register", "bob", "--dialect", "passwordless"]);
    assert!(bob.does(&login).starts_with("logged in as bob at "));
    let taken = bob.fails(&["register", "ALICE", "--dialect", "passwordless"]);
    assert!(taken.contains("username-taken"), "{taken}");
}

#[test]
fn by_invitation_a_dialect_that_registers_takes_the_code() {
    let server = Server::start(&["--enrolment", "invited"]);
    let data = server.data_dir().to_str().unwrap().to_owned();
    let user = User::of(server.url());
    for (name, dialect) in [("alice", "passwordless"), ("bob", "signjwt"), ("carol", "password")] {
        let mut register = vec!["register", name, "--dialect", dialect];
        if dialect == "password" {
            register.extend(["--email", "carol@example.com"]);
        }
        let refused = user.fails(&register);
        assert!(refused.contains("try: --code CODE"), "{refused}");
        let code = user.does(&["admin", "invite", name, "--data-dir", &data]);
        register.extend(["--code", &code]);
        user.does(&register);
        user.does(&["whoami", name]);
    }
    let gradecoin = ["register", "dave", "--dialect", "gradecoin", "--code", "csi_1"];
    assert!(user.fails(&gradecoin).contains("--one-time-password"));
}

#[test]
fn passwordless_refuses_a_server_that_is_another_one() {
    let alice = User::of("http://127.0.0.1:1");
    let data = alice.path("data");
    let mut server = Server::start_in(&data, &[]);
    let url = server.url().to_owned();
    alice.does(&["register", "alice", "--server", &url, "--dialect", "passwordless"]);
    // Somebody else takes over the address, and knows the name.
    server.kill();
    let address = url.strip_prefix("http://").unwrap_or_default();
    let other = Server::start_in(&alice.path("other"), &["--listen", address]);
    let mallory = User::of(other.url());
    mallory.does(&["register", "alice", "--dialect", "passwordless"]);
    let refused = alice.fails(&["login", "alice", "--dialect", "passwordless"]);
    assert!(refused.contains("nothing was signed"), "{refused}");
}

#[test]
fn a_login_moves_to_another_keyring_as_the_object_of_passwordless() {
    let server = Server::start(&[]);
    let (alice, stick) = (User::of(server.url()), User::of("http://127.0.0.1:1"));
    alice.does(&["register", "alice", "--dialect", "passwordless"]);
    alice.does(&["login", "--dialect", "passwordless"]);
    assert!(alice.does(&["keyring", "show", "alice"]).contains("server's key  "));
    let asked = alice.fails(&["keyring", "export", "alice", "--json"]);
    assert!(asked.contains("--reveal-private-key"), "{asked}");
    let object = alice.does(&["keyring", "export", "alice", "--json", "--reveal-private-key"]);

    write_private(&stick.path("alice.json"), &object);
    let named = ["keyring", "import", "alice", "alice.json", "--username", "bob"];
    assert!(stick.fails(&named).contains("leave out --username"));
    stick.does(&["keyring", "import", "alice", "alice.json"]);
    let again = stick.does(&["keyring", "export", "alice", "--json", "--reveal-private-key"]);
    assert_eq!(again, object);
    assert!(stick.does(&["whoami", "alice"]).contains("username  alice\n"));
    let login = ["login", "alice", "--dialect", "passwordless"];
    assert!(stick.does(&login).starts_with("logged in as alice at "));

    write_private(
        &stick.path("old.json"),
        &object.replace("serverSidePublic", "serverSidePrivate"),
    );
    assert!(stick.fails(&["keyring", "import", "b", "old.json"]).contains("the six texts url"));
    let open = fs::set_permissions(stick.path("alice.json"), fs::Permissions::from_mode(0o644));
    assert!(open.is_ok());
    let exposed = stick.fails(&["keyring", "import", "b", "alice.json"]);
    assert!(exposed.contains("can be read by others"), "{exposed}");

    alice.does(&["register", "plain", "--as", "plain"]);
    let plain = alice.fails(&["keyring", "export", "plain", "--json", "--reveal-private-key"]);
    assert!(plain.contains("has no key of the server"), "{plain}");
}

#[test]
fn passwordless_needs_the_key_of_the_server() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.does(&["register", "alice"]);
    let refused = user.fails(&["login", "--dialect", "passwordless"]);
    assert!(refused.contains("has no key of the server"), "{refused}");
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    let by_file = ["login", "--dialect", "passwordless", "--key", "key.pem", "--username", "alice"];
    assert!(user.fails(&by_file).contains("only a keyring has"));
}

#[test]
fn self_signed_shows_that_the_server_takes_it() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    let nothing = user.fails(&["register", "alice", "--dialect", "self-signed"]);
    assert!(nothing.contains("no registration of its own"), "{nothing}");
    user.does(&["register", "alice"]);
    let login = ["login", "--dialect", "self-signed"];
    let said = user.does(&login);
    assert_eq!(said, format!("self-signed works for alice at {}\n", server.url()));
    let jwt = user.does(&[&login[..], &["--print-token"]].concat());
    assert_eq!(jwt.trim().split('.').count(), 3, "{jwt}");

    // What is printed is not used up, and works once.
    let curl = |expected| {
        let header = format!("Authorization: Bearer {}", jwt.trim());
        let url = format!("{}/v1/whoami", server.url());
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &header, &url]);
        assert_eq!(user::Said::of(command).stdout, expected);
    };
    curl("200");
    curl("401");
}

#[test]
fn signjwt_signs_its_requests() {
    let server = Server::start(&[]);
    for key_type in ["p256", "rsa2048"] {
        let user = User::of(server.url());
        let register = ["register", key_type, "--dialect", "signjwt", "--key-type", key_type];
        let said = user.does(&register);
        assert!(said.starts_with(&format!("{key_type} is registered at ")), "{said}");
        assert!(!user.does(&["keyring", "show", key_type]).contains("not known"));
        let said = user.does(&["login", "--dialect", "signjwt"]);
        let end = format!("signjwt works for {key_type} at {}\n", server.url());
        assert!(said.ends_with(&end), "{said}");
        assert!(user.does(&["login"]).starts_with("logged in as "));
    }
    let user = User::of(server.url());
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    let login = ["login", "--dialect", "signjwt", "--key", "key.pem", "--username", "p256"];
    let refused = user.fails(&login);
    assert!(refused.contains("HTTP 401"), "{refused}");
    let token = user.fails(&[&login[..], &["--print-token"]].concat());
    assert!(token.contains("no token to print"), "{token}");
    let taken = user.fails(&["register", "p256", "--dialect", "signjwt"]);
    assert!(taken.contains("username-taken"), "{taken}");
    assert_eq!(user.does(&["keyring", "list"]), "");
}

#[test]
fn password_keeps_what_the_server_made_and_binds_every_token() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    let register = ["register", "alice", "--dialect", "password", "--email", "alice@example.com"];
    let said = user.does(&register);
    assert!(said.starts_with("alice is registered at "), "{said}");
    // Nothing has to be asked for, and a token is renewed with the password.
    for _ in 0..2 {
        let who = user.does(&["whoami"]);
        assert!(who.contains("username  alice\n") && who.contains("proof     dpop\n"), "{who}");
        user.does(&["logout"]);
    }
    for login in [&["login"][..], &["login", "--dialect", "password"]] {
        assert!(user.does(login).starts_with("logged in as alice at "));
    }
    assert_eq!(user.does(&["call", "GET", "/v1/events"]).matches("login.succeeded").count(), 5);
    let scope = user.fails(&["login", "--scope", "read"]);
    assert!(scope.contains("with all scopes"), "{scope}");

    // The key of the entry is none of the account's. The account can add one, and log in with that.
    for dialect in ["self-signed", "signjwt", "gradecoin"] {
        let call = ["call", "GET", "/v1/whoami", "--dialect", dialect];
        for command in [&["login", "--dialect", dialect][..], &call] {
            assert!(user.fails(command).contains("keys add --new --as alice"), "{command:?}");
        }
    }
    user.does(&["keys", "add", "--new", "--name", "laptop"]);
    assert!(user.does(&["login", "laptop"]).starts_with("logged in as alice at "));

    let taken = User::of(server.url()).fails(&register);
    assert!(taken.contains("username-taken"), "{taken}");
    let again = user.fails(&register);
    assert!(again.contains("the keyring has a key for alice"), "{again}");
}

#[test]
fn a_password_is_asked_for_once_and_never_an_argument() {
    let server = Server::start(&[]);
    let first = User::of(server.url());
    first.does(&["register", "bob", "--dialect", "jwks-server", "--email", "bob@example.com"]);
    let hidden = first.fails(&["keyring", "export", "bob"]);
    assert!(hidden.contains("--reveal-password"), "{hidden}");
    let password = first.does(&["keyring", "export", "bob", "--reveal-password"]);

    // Elsewhere there is no entry yet: the login makes one, if the password is right.
    let second = User::of(server.url());
    user::write_private(&second.path("wrong"), "55c79852-a428-4925-98fd-fc916417ca45\n");
    let login = ["login", "bob", "--dialect", "password"];
    let asked = second.fails(&login);
    assert!(asked.contains("COUNTERSIGN_PASSWORD"), "{asked}");
    let wrong = second.fails(&[&login[..], &["--password-file", "wrong"]].concat());
    assert!(wrong.contains("wrong username or password (HTTP 401"), "{wrong}");
    assert!(!wrong.contains("gets a new token"), "{wrong}");
    assert_eq!(second.does(&["keyring", "list"]), "");
    user::write_private(&second.path("right"), &password);
    let said = second.run(&[&login[..], &["--password-file", "right"]].concat());
    assert!(said.stdout.starts_with("logged in as bob at "), "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("keeps the password"), "{}", said.stderr);
    second.does(&["logout"]);
    second.does(&login);
    // A file that is named counts, whatever the entry has.
    let wrong = second.fails(&[&login[..], &["--password-file", "wrong"]].concat());
    assert!(wrong.contains("wrong username or password"), "{wrong}");

    // With a key from a file, nothing is kept.
    let third = User::of(server.url());
    third.openssl("genpkey -algorithm ED25519 -out key.pem");
    user::write_private(&third.path("right"), &password);
    let login = ["login", "--dialect", "password", "--password-file", "right"];
    let key = ["--key", "key.pem", "--username", "bob", "--print-token"];
    let token = third.does(&[&login[..], &key].concat());
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    assert!(!third.keyring().exists());
}

#[test]
fn gradecoin_registers_by_one_time_password() {
    let server = Server::start(&[]);
    let data = server.data_dir().to_str().unwrap_or_default().to_owned();
    let user = User::of(server.url());
    let invite = ["admin", "invite", "e123456", "--one-time-password", "--data-dir", &data];
    let password = user.does(&invite);
    user::write_private(&user.path("right"), &password);
    user::write_private(&user.path("wrong"), "no such password");
    let register = ["register", "e123456", "--dialect", "gradecoin", "--password-file"];
    let run = |file| user.run(&[&register[..], &[file]].concat());
    let wrong = run("wrong");
    assert!(wrong.stderr.contains("one-time password that still work"), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("RSA-OAEP"), "the seal was right: {}", wrong.stderr);
    assert_eq!(user.does(&["keyring", "list"]), "");
    let right = run("right");
    assert!(right.stdout.starts_with("e123456 is registered at "), "{}", right.stderr);
    assert!(right.stdout.contains("(RSA 2048)"), "{}", right.stdout);

    let said = user.does(&["login", "--dialect", "gradecoin"]);
    assert!(said.starts_with("gradecoin works for e123456 at "), "{said}");
    let token = user.fails(&["login", "--dialect", "gradecoin", "--print-token"]);
    assert!(token.contains("no token to print"), "{token}");
    let call = ["call", "POST", "/v1/whoami", "-d", "{\"amount\":2}", "--dialect", "gradecoin"];
    let who = user.does(&call);
    assert!(who.contains("\"proof\":\"self-signed\""), "{who}");
    // The account is one like any other.
    assert!(user.does(&["login"]).starts_with("logged in as e123456 at "));
}

#[test]
fn a_request_can_be_proven_in_every_dialect_without_a_token() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.does(&["register", "alice"]);
    for (dialect, proof) in
        [("self-signed", "self-signed"), ("gradecoin", "self-signed"), ("signjwt", "signjwt")]
    {
        let who = user.does(&["call", "GET", "/v1/whoami", "--dialect", dialect]);
        assert!(who.contains(&format!("\"proof\":\"{proof}\"")), "{who}");
    }
}

#[test]
fn a_dialect_that_is_off_says_no() {
    let user = User::of("");
    user::write_private(
        &user.path("off.toml"),
        "dialects.self_signed = false\ndialects.gradecoin = false\n",
    );
    let config = user.path("off.toml");
    let server = Server::start(&["--config", config.to_str().unwrap_or_default()]);
    let user = User::of(server.url());
    user.does(&["register", "alice"]);
    let refused = user.fails(&["login", "--dialect", "self-signed"]);
    assert!(refused.contains("HTTP 401"), "{refused}");
}
