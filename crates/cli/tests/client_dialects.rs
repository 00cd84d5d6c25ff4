//! The one client in the dialects.

mod support;
mod user;

use support::Server;
use user::User;

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

    let bob = User::of(server.url());
    bob.does(&["register", "bob", "--dialect", "passwordless"]);
    assert!(bob.does(&login).starts_with("logged in as bob at "));
    let taken = bob.fails(&["register", "ALICE", "--dialect", "passwordless"]);
    assert!(taken.contains("username-taken"), "{taken}");
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
    assert_eq!(said, format!("{} takes JWTs of this key for those of alice\n", server.url()));
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
        let end = format!(" takes messages signed by this key for those of {key_type}\n");
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
