//! Commands whose requests are done, and whose answers do not come: what they say, and what becomes of the
//! same command again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod user;

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use support::{Server, countersign};
use user::{Said, User, write_private};

const PASSWORD: &str = "online battery staple";

/// Which answers get lost: to requests that begin so, and how many.
type Loss = Arc<Mutex<(&'static str, usize)>>;

/// A server behind a proxy that loses answers.
struct Lossy {
    origin: String,
    server: Server,
    loss: Loss,
}

impl Lossy {
    fn start(args: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::start(&[&["--issuer", &origin], args].concat());
        let upstream = server.url().strip_prefix("http://").unwrap().to_owned();
        let loss = Loss::default();
        let shared = Arc::clone(&loss);
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (upstream, loss) = (upstream.clone(), Arc::clone(&shared));
                // A client that has left misses its answer.
                thread::spawn(move || drop(pass_on(&stream, &upstream, &loss)));
            }
        });
        Self { origin, server, loss }
    }

    /// Loses the next `answers` of success to requests that begin with `start`.
    fn lose(&self, start: &'static str, answers: usize) {
        *self.loss.lock().unwrap() = (start, answers);
    }

    fn user(&self) -> User {
        User::of(&self.origin)
    }

    /// What an administrator's command prints.
    fn admin(&self, args: &[&str]) -> String {
        let mut command = countersign(["admin", "--data-dir"]);
        command.arg(self.server.data_dir()).args(args);
        let said = Said::of(command);
        assert_eq!(said.status, 0, "{}", said.stderr);
        said.stdout.trim().to_owned()
    }
}

/// Passes one request on, and its answer back unless that gets lost.
fn pass_on(mut client: &TcpStream, upstream: &str, loss: &Loss) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        if let Some(value) = head[start..].strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut server = TcpStream::connect(upstream)?;
    let last = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(&[last.as_bytes(), &body].concat())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let mut loss = loss.lock().unwrap();
    if loss.1 > 0 && head.starts_with(loss.0) && answer.starts_with(b"HTTP/1.1 2") {
        loss.1 -= 1;
        return Ok(());
    }
    drop(loss);
    client.write_all(&answer)
}

/// Runs a command of the online keyring.
fn online(user: &User, password: &str, args: &[&str]) -> Said {
    let mut command = user.command(&[&["keyring"], args].concat());
    command.env("COUNTERSIGN_ONLINE_PASSWORD", password);
    Said::of(command)
}

/// The recovery code of a command that does not know whether it was done.
fn unconfirmed_code(said: &Said) -> String {
    assert_eq!(said.status, 1, "{}{}", said.stdout, said.stderr);
    let told = "it is not known whether the server has changed the online keyring";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    assert!(said.stderr.contains("`countersign keyring online`"), "{}", said.stderr);
    let code = said.stdout.strip_prefix("recovery code, if it was done: ").unwrap();
    code.trim_end().to_owned()
}

fn opens_by_code(user: &User, code: &str) -> bool {
    let mut command = user.command(&["keyring", "pull", "--recovery"]);
    command.env("COUNTERSIGN_RECOVERY_CODE", code);
    Said::of(command).status == 0
}

#[test]
fn a_recovery_code_that_may_be_in_force_is_shown() {
    let lossy = Lossy::start(&[]);
    let alice = lossy.user();
    alice.does(&["register", "alice"]);
    lossy.lose("PUT /v1/keyring ", 3);
    let code = unconfirmed_code(&online(&alice, PASSWORD, &["push"]));
    assert!(opens_by_code(&alice, &code));
    lossy.lose("", 0);
    let again = online(&alice, PASSWORD, &["push"]);
    assert_eq!((again.status, &*again.stdout), (0, "the online keyring has all of it already\n"));

    write_private(&alice.path("new"), "another battery");
    lossy.lose("PUT /v1/keyring ", 3);
    let change = ["online", "password", "--new-password-file", "new"];
    let new_code = unconfirmed_code(&online(&alice, PASSWORD, &change));
    assert!(opens_by_code(&alice, &new_code) && !opens_by_code(&alice, &code));
    assert_eq!(online(&alice, "another battery", &["pull"]).status, 0);

    lossy.lose("PUT /v1/keyring ", 3);
    let newest = unconfirmed_code(&online(&alice, "another battery", &["online", "recovery"]));
    assert!(opens_by_code(&alice, &newest) && !opens_by_code(&alice, &new_code));
}

#[test]
fn a_change_whose_answer_is_lost_is_found_out() {
    let lossy = Lossy::start(&[]);
    let alice = lossy.user();
    alice.does(&["register", "alice"]);
    let new_code = |password: &str, args: &[&str]| {
        lossy.lose("PUT /v1/keyring ", 1);
        let said = online(&alice, password, args);
        assert_eq!(said.status, 0, "{}", said.stderr);
        let code = said.stdout.lines().find_map(|line| line.strip_prefix("recovery code: "));
        assert!(opens_by_code(&alice, code.unwrap()));
    };
    new_code(PASSWORD, &["push"]);
    write_private(&alice.path("new"), "another battery");
    new_code(PASSWORD, &["online", "password", "--new-password-file", "new"]);
    new_code("another battery", &["online", "recovery"]);
    alice.does(&["keys", "add", "--new", "--name", "phone"]);
    lossy.lose("PUT /v1/keyring/content ", 1);
    let pushed = online(&alice, "another battery", &["push", "--as", "alice"]);
    assert_eq!(pushed.stdout, "added to the online keyring: phone\n", "{}", pushed.stderr);
    // Each change was done once.
    let status = alice.does(&["keyring", "online", "status", "--json", "--as", "alice"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["keyring"]["revision"], 4);
}

#[test]
fn an_online_keyring_that_is_gone_is_what_was_wanted() {
    let lossy = Lossy::start(&[]);
    let alice = lossy.user();
    alice.does(&["register", "alice"]);
    assert_eq!(online(&alice, PASSWORD, &["push"]).status, 0);
    lossy.lose("DELETE /v1/keyring ", 1);
    let delete = ["keyring", "online", "delete", "--yes"];
    assert_eq!(alice.does(&delete), "the online keyring is deleted\n");
    let none = "there is no online keyring: nothing is to be deleted\n";
    assert_eq!(alice.does(&delete), none);
}

#[test]
fn a_registration_in_passwordless_that_lost_the_servers_key_says_so() {
    let lossy = Lossy::start(&["--enrolment", "invited"]);
    let code = lossy.admin(&["invite", "alice"]);
    let alice = lossy.user();
    lossy.lose("POST /register ", 1);
    let register = ["register", "alice", "--dialect", "passwordless", "--code", &code];
    let lost = alice.fails(&register);
    assert!(lost.contains("it is not known whether the server has the key now"), "{lost}");
    let again = alice.fails(&register);
    for told in [
        "alice was registered already at",
        "the server gives it once",
        "with --dialect passwordless it cannot log in; without, it can: countersign login alice\n",
        "register another name",
    ] {
        assert!(again.contains(told), "{again}");
    }
    assert!(alice.does(&["login", "alice"]).contains("logged in as alice"));
    let refused = alice.fails(&["login", "alice", "--dialect", "passwordless"]);
    assert!(refused.contains("only the answer to a registration"), "{refused}");
    assert!(!refused.contains("was not registered"), "{refused}");
}

#[test]
fn a_password_that_was_lost_is_replaced_by_a_code() {
    let lossy = Lossy::start(&[]);
    let alice = lossy.user();
    lossy.lose("POST /register ", 1);
    let register = ["register", "alice", "--dialect", "password", "--email", "a@example.org"];
    let lost = alice.fails(&register);
    assert!(lost.contains("its password is lost with the answer"), "{lost}");
    let again = alice.fails(&register);
    assert!(again.contains("nobody has its password"), "{again}");
    assert!(!again.contains("the key that it was registered with"), "{again}");
    let recover = "countersign recover alice --code CODE --dialect password";
    assert!(again.contains(recover), "{again}");

    let code = lossy.admin(&["invite", "alice", "--recover"]);
    lossy.lose("POST /v1/accounts/alice/recover ", 1);
    let recover = ["recover", "alice", "--dialect", "password", "--code"];
    let lost = alice.fails(&[&recover[..], &[&*code]].concat());
    assert!(lost.contains("it is not known whether the code was used"), "{lost}");
    let used = alice.fails(&[&recover[..], &[&*code]].concat());
    assert!(
        used.contains("recovery-code") && used.contains("an administrator makes another"),
        "{used}"
    );
    let another = lossy.admin(&["invite", "alice", "--recover"]);
    alice.does(&[&recover[..], &[&*another]].concat());
    assert!(alice.does(&["whoami", "alice"]).contains("alice"));

    let bob = lossy.user();
    let taken = bob.fails(&register);
    assert!(taken.contains("log in with its password"), "{taken}");
    assert_eq!(bob.does(&["keyring", "list"]), "");
}

#[test]
fn a_key_that_is_kept_in_a_file_is_found_again() {
    let lossy = Lossy::start(&[]);
    let alice = lossy.user();
    for key in ["one.pem", "two.pem"] {
        alice.openssl(&format!("genpkey -algorithm ED25519 -out {key}"));
    }
    lossy.lose("POST /v1/accounts ", 1);
    let register = ["register", "alice", "--key", "one.pem", "--no-keyring"];
    assert!(alice.fails(&register).contains("run the same command again"));
    assert!(alice.does(&register).starts_with("alice was registered already at"));
    lossy.lose("POST /v1/keys ", 1);
    let by_file = ["--signing-key", "one.pem", "--username", "alice"];
    let add = [&["keys", "add", "--key", "two.pem"], &by_file[..]].concat();
    assert!(alice.fails(&add).contains("run the same command again"));
    assert!(alice.does(&add).contains("already logs in to alice too"));
}

#[test]
fn a_key_that_is_revoked_already_is_what_was_wanted() {
    let lossy = Lossy::start(&[]);
    let alice = lossy.user();
    alice.does(&["register", "alice"]);
    let thumbprint_of = |entry: &str| {
        let shown = alice.does(&["keyring", "show", entry, "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["thumbprint"].as_str().unwrap().to_owned()
    };
    alice.does(&["keys", "add", "--new", "--name", "thief", "--as", "alice"]);
    alice.does(&["keys", "add", "--new", "--name", "friend", "--as", "thief"]);
    let (thief, friend) = (thumbprint_of("thief"), thumbprint_of("friend"));

    lossy.lose("DELETE /v1/keys/", 1);
    let revoke = ["keys", "revoke", &thief, "--as", "alice"];
    let said = alice.run(&revoke);
    assert_eq!(said.stdout, format!("{thief} is revoked, and every token of it\n"));
    assert!(said.stderr.contains(&format!("it had added {friend}")), "{}", said.stderr);
    assert!(alice.does(&revoke).starts_with(&format!("{thief} was revoked already, at ")));

    // The same command again goes on where an earlier one was interrupted.
    let said = alice.does(&[&revoke[..], &["--with-added"]].concat());
    assert!(said.contains(&format!("{friend} is revoked, and every token of it")), "{said}");
    let nobody = alice.fails(&["keys", "revoke", &"A".repeat(43), "--as", "alice"]);
    assert!(nobody.contains("no key of that thumbprint"), "{nobody}");
}
