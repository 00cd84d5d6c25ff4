//! The keyring file and its passphrase.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod user;

use std::{
    fs,
    io::{BufReader, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use support::{Server, countersign};
use user::{PASSPHRASE, Said, User, write_private};

/// A user with one key, imported without a server.
fn user() -> User {
    let user = User::of("https://auth.example");
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    user.does(&["keyring", "import", "alice", "key.pem"]);
    user
}

#[test]
fn a_wrong_passphrase_or_a_damaged_file_changes_nothing() {
    let user = user();
    let good = fs::read(user.keyring()).unwrap();
    let mut command = user.command(&["keyring", "list"]);
    command.env("COUNTERSIGN_PASSPHRASE", "wrong");
    let said = Said::of(command);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("wrong passphrase or damaged file"), "{}", said.stderr);

    let flipped = String::from_utf8(good.clone()).unwrap().replace("\"ciphertext\":\"", "$&A");
    for (damaged, expected) in [
        (&b""[..], "is empty"),
        (&good[..good.len() - 20], "its end is missing"),
        (flipped.as_bytes(), "damaged"),
        (b"{}", "not a keyring file"),
        (b"-----BEGIN PRIVATE KEY-----", "not a keyring file"),
    ] {
        fs::write(user.keyring(), damaged).unwrap();
        for args in [
            &["keyring", "list"][..],
            &["keyring", "import", "bob", "key.pem"],
            &["keyring", "remove", "alice", "--yes"],
            &["whoami"],
        ] {
            let refused = user.fails(args);
            assert!(refused.contains("cannot open the keyring"), "{refused}");
            assert!(refused.contains(expected), "{expected}: {refused}");
        }
        assert_eq!(fs::read(user.keyring()).unwrap(), damaged);
    }
    fs::write(user.keyring(), good).unwrap();
    assert!(user.does(&["keyring", "list"]).contains("alice"));
}

#[test]
fn a_private_key_in_a_file_that_others_can_read_is_refused_as_a_passphrase_is() {
    let user = user();
    user.openssl("genpkey -algorithm ED25519 -out open.pem");
    let set = |mode| {
        fs::set_permissions(user.path("open.pem"), fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o644);
    let refused = user.fails(&["keyring", "import", "bob", "open.pem"]);
    assert!(refused.contains("mode 0644") && refused.contains("chmod 600"), "{refused}");
    assert!(refused.contains("standard input"), "{refused}");
    set(0o600);
    user.does(&["keyring", "import", "bob", "open.pem"]);
}

#[test]
fn a_keyring_that_cannot_be_written_still_gives_tokens() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.does(&["register", "alice"]);
    // As on a read-only file system, for root too.
    let lock = user.keyring().with_file_name("keyring.json.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let refused = user.fails(&["login"]);
    assert!(refused.contains("cannot lock") && refused.contains("--print-token"), "{refused}");
    assert!(user.does(&["login", "--print-token"]).starts_with("ey"));
    user.does(&["call", "GET", "/v1/whoami"]);
}

#[test]
fn the_passphrase_may_come_from_a_private_file() {
    let user = user();
    let run = |args: &[&str], variable: Option<&str>| {
        let mut command = user.command(args);
        command.env_remove("COUNTERSIGN_PASSPHRASE");
        if let Some(file) = variable {
            command.env("COUNTERSIGN_PASSPHRASE_FILE", file);
        }
        Said::of(command)
    };
    write_private(&user.path("passphrase"), &format!("{PASSPHRASE}\n"));
    let option = ["keyring", "list", "--passphrase-file", "passphrase"];
    assert_eq!(run(&option, None).status, 0);
    assert_eq!(run(&["keyring", "list"], Some("passphrase")).status, 0);

    fs::set_permissions(user.path("passphrase"), fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = run(&option, None);
    assert!(exposed.stderr.contains("chmod 600"), "{}", exposed.stderr);
    write_private(&user.path("edited"), &format!("\u{feff}{PASSPHRASE}\n\n"));
    let edited = run(&["keyring", "list"], Some("edited"));
    assert!(edited.stderr.contains("byte order mark"), "{}", edited.stderr);
    write_private(&user.path("empty"), "\n");
    assert!(run(&["keyring", "list"], Some("empty")).stderr.contains("is empty"));
    assert!(run(&["keyring", "list"], Some("missing")).stderr.contains("cannot read"));

    write_private(&user.path("new"), "another one");
    write_private(&user.path("passphrase"), PASSPHRASE);
    let change = ["keyring", "passwd", "--new-passphrase-file", "new"];
    assert_eq!(run(&change, Some("passphrase")).status, 0);
    assert_eq!(run(&["keyring", "list"], Some("new")).status, 0);
    assert_eq!(run(&["keyring", "list"], Some("passphrase")).status, 1);
}

#[test]
fn two_variables_for_one_secret_are_refused() {
    let user = user();
    let mut command = user.command(&["keyring", "list"]);
    command.env("COUNTERSIGN_PASSPHRASE_FILE", "passphrase");
    let said = Said::of(command);
    assert_eq!(said.status, 1);
    let expected = "COUNTERSIGN_PASSPHRASE and COUNTERSIGN_PASSPHRASE_FILE are both set";
    assert!(said.stderr.contains(expected), "{}", said.stderr);
}

#[test]
fn without_a_terminal_the_error_says_what_to_set() {
    let user = user();
    // Without a session of its own, the test would ask the developer.
    let mut command = Command::new("setsid");
    let inner = countersign(["keyring", "list", "--keyring"]);
    command.arg(inner.get_program()).args(inner.get_args()).arg(user.keyring());
    for variable in ["COUNTERSIGN_PASSPHRASE", "COUNTERSIGN_PASSPHRASE_FILE"] {
        command.env_remove(variable);
    }
    let said = Said::of(command);
    assert_eq!(said.status, 1);
    assert!(
        said.stderr.contains("set COUNTERSIGN_PASSPHRASE, or set COUNTERSIGN_PASSPHRASE_FILE"),
        "{}",
        said.stderr
    );
    let asked = user.fails(&["keyring", "remove", "alice"]);
    assert!(asked.contains("say --yes"), "{asked}");
}

/// Runs a command on a terminal where somebody types `input`; returns what is on the screen.
fn typed(user: &User, command: &str, input: &str) -> String {
    let program = countersign([""]).get_program().to_str().unwrap().to_owned();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]);
    script.arg(format!("'{program}' {command}")).arg("/dev/null");
    script.env_remove("COUNTERSIGN_PASSPHRASE").env("HOME", user.path(""));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_person_is_asked_for_the_passphrase_at_the_terminal() {
    let user = User::of("https://auth.example");
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    let key = user.path("key.pem");
    let import = format!("keyring import alice {} --server https://auth.example", key.display());
    // A new one is asked for until it was typed twice.
    let screen =
        typed(&user, &import, &format!("a\none thing\nanother\n{PASSPHRASE}\n{PASSPHRASE}\n"));
    assert!(screen.contains("New passphrase for") && screen.contains("too short"), "{screen}");
    assert!(screen.contains("not the same"), "{screen}");
    assert!(screen.contains("alice now holds the key"), "{screen}");
    // One that is wrong may be typed again.
    let screen = typed(&user, "keyring list", &format!("wrong\n{PASSPHRASE}\n"));
    assert!(screen.contains("Once more") && screen.contains("https://auth.example"), "{screen}");
    assert!(user.does(&["keyring", "list"]).contains("alice"));
}

#[test]
fn who_interrupts_the_question_has_a_terminal_that_shows_what_is_typed() {
    let user = User::of("https://auth.example");
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    let program = countersign([""]).get_program().to_str().unwrap().to_owned();
    let ask = format!("{program} keyring import alice key.pem --server https://auth.example");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]);
    // The terminal sends the signal for a typed ^C to both; the shell goes on.
    script.arg(format!("sh -c 'trap : INT; {ask}; stty -a'")).arg("/dev/null");
    script.env_remove("COUNTERSIGN_PASSPHRASE").env("HOME", user.path(""));
    script.current_dir(user.path(""));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut screen = String::new();
    let mut seen = BufReader::new(child.stdout.take().unwrap());
    let mut byte = [0];
    while !screen.contains("New passphrase") {
        seen.read_exact(&mut byte).unwrap();
        screen.push(char::from(byte[0]));
    }
    // Open to the end: `script` changes the terminal when nobody types any more.
    let mut typing = child.stdin.take().unwrap();
    typing.write_all(b"\x03").unwrap();
    seen.read_to_string(&mut screen).unwrap();
    child.wait().unwrap();
    assert!(screen.contains(" echo ") && !screen.contains("-echo "), "{screen}");
}

#[test]
fn a_new_passphrase_is_one_that_the_account_app_can_use() {
    let user = User::of("https://auth.example");
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    let mut command = user.command(&["keyring", "import", "alice", "key.pem"]);
    command.env("COUNTERSIGN_PASSPHRASE", "seven77");
    let said = Said::of(command);
    assert!(
        said.stderr.contains("COUNTERSIGN_PASSPHRASE: a new passphrase has at least 8"),
        "{}",
        said.stderr
    );
    assert!(!user.keyring().exists(), "nothing was made");
}

#[test]
fn a_hint_can_be_pasted_and_no_entry_is_for_an_impossible_account() {
    let user = User::of("https://auth.example");
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    let refused = user.fails(&["keyring", "import", "my key", "key.pem"]);
    assert!(refused.contains("\"my key\" is no account: say --username NAME"), "{refused}");
    let import = ["keyring", "import", "my key", "key.pem", "--username"];
    let impossible = user.run(&[&import[..], &["a b"]].concat());
    assert!(impossible.stderr.contains("a username consists of"), "{}", impossible.stderr);
    assert!(!user.keyring().exists(), "nothing was made");
    let said = user.run(&[&import[..], &["alice"]].concat()).stderr;
    assert!(said.contains("countersign login 'my key', or"), "{said}");
    assert!(said.contains("countersign register alice --as 'my key' --server"), "{said}");
}

#[test]
fn entries_can_be_shown_renamed_moved_and_removed() {
    let user = user();
    assert_eq!(user.does(&["keyring", "path"]).trim(), user.keyring().to_str().unwrap());
    let mode = fs::metadata(user.keyring()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let list = user.does(&["keyring", "list"]);
    let expected = "ENTRY  USERNAME  SERVER                KEY      STATE\n\
                    alice  alice     https://auth.example  Ed25519  not known to the server yet\n";
    assert_eq!(list, expected);

    user.openssl("pkey -in key.pem -pubout -out public.pem");
    let public = fs::read_to_string(user.path("public.pem")).unwrap();
    assert!(user.does(&["keyring", "show", "alice"]).ends_with(&public));
    user.does(&["keyring", "rename", "alice", "Älice @ work"]);
    assert!(user.fails(&["keyring", "show", "alice"]).contains("it has:\n  Älice @ work"));
    assert!(user.fails(&["keyring", "rename", "alice", "x"]).contains("no entry alice"));
    assert!(user.fails(&["keyring", "rename", "Älice @ work", " "]).contains("cannot name"));

    let pem = user.does(&["keyring", "export", "Älice @ work", "--reveal-private-key"]);
    assert_eq!(pem, fs::read_to_string(user.path("key.pem")).unwrap());
    user.does(&["keyring", "remove", "Älice @ work", "--yes"]);
    assert!(user.fails(&["whoami"]).contains("the keyring has no entries"));
    assert!(user.fails(&["keyring", "remove", "alice", "--yes"]).contains("no entry alice"));
}

#[test]
fn entries_follow_their_server_to_another_name_if_it_knows_them_there() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data.path(), &[]);
    let old = server.url().to_owned();
    let user = User::of(&old);
    user.does(&["register", "alice"]);
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    user.does(&["keyring", "import", "stranger", "key.pem"]);
    let to_itself = user.fails(&["keyring", "move", &old, "--server", &old]);
    assert!(to_itself.contains("still goes by"), "{to_itself}");
    server.kill();

    let (address, new) = (old.replace("http://", ""), old.replace("127.0.0.1", "localhost"));
    let _server = Server::start_in(data.path(), &["--listen", &address, "--issuer", &new]);
    assert_eq!(user.run(&["whoami", "alice"]).status, 1);
    let moved = user.run(&["keyring", "move", &old, "--server", &new]);
    assert_eq!(moved.stdout, format!("alice is now for {new}\n"), "{}", moved.stderr);
    assert!(
        moved.stderr.contains("stranger stays as it is: the server refused"),
        "{}",
        moved.stderr
    );
    assert!(moved.stderr.contains("1 of 2 entries stay"), "{}", moved.stderr);
    assert_eq!(moved.status, 1);
    assert!(user.does(&["whoami", "alice"]).contains(&new));
    let list = user.does(&["keyring", "list"]);
    assert!(list.lines().any(|line| line.starts_with("stranger") && line.contains(&old)), "{list}");
    let none = user.fails(&["keyring", "move", "https://elsewhere.example", "--server", &new]);
    assert!(none.contains("no entry for https://elsewhere.example"), "{none}");
}

#[test]
fn the_keyring_lies_where_it_is_said_to_lie() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    let missing = user.fails(&["whoami"]);
    assert!(missing.contains("there is no keyring at") && missing.contains("register NAME"));
    let path = |variables: &[(&str, &str)]| {
        let mut command = user.command(&["keyring", "path"]);
        command.envs(variables.iter().copied());
        Said::of(command).stdout.trim().to_owned()
    };
    assert_eq!(path(&[("XDG_DATA_HOME", "/data")]), "/data/countersign/keyring.json");
    assert_eq!(path(&[("XDG_DATA_HOME", "data")]), user.keyring().to_str().unwrap());
    assert_eq!(path(&[("COUNTERSIGN_KEYRING", "/usb/keys")]), "/usb/keys");
    assert!(Said::of(countersign(["keyring", "path"])).stderr.contains("--keyring FILE"));

    user.does(&["register", "alice", "--keyring", "here.json"]);
    assert!(user.path("here.json").exists() && !user.keyring().exists());
    user.does(&["keyring", "--keyring", "here.json", "list"]);
    // Whoever keeps it elsewhere gets to keep the link.
    std::os::unix::fs::symlink("here.json", user.path("link.json")).unwrap();
    user.does(&["login", "--keyring", "link.json"]);
    assert!(fs::symlink_metadata(user.path("link.json")).unwrap().is_symlink());
}
