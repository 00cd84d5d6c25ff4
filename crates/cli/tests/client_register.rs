//! Registration, and what is left in the keyring when it goes wrong.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod user;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    thread,
};

use support::Server;
use user::{Said, User};

#[test]
fn a_refused_registration_leaves_nothing_in_the_keyring() {
    let server = Server::start(&["--enrolment", "open"]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    let twice = alice.fails(&["register", "Alice"]);
    assert!(twice.contains("already, the entry alice\n"), "{twice}");

    let bob = User::of(server.url());
    let taken = bob.fails(&["register", "ALICE"]);
    assert!(
        taken.contains("HTTP 409, username-taken") && taken.contains("another name"),
        "{taken}"
    );
    let invalid = bob.fails(&["register", "b b"]);
    assert!(invalid.contains("invalid-username"), "{invalid}");
    assert_eq!(bob.does(&["keyring", "list"]), "");
    bob.does(&["register", "bob"]);
}

#[test]
fn what_needs_no_server_is_refused_without_one() {
    let user = User::of("http://127.0.0.1:1");
    user.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
    user.openssl("pkey -in key.pem -pubout -out public.pem");
    user.openssl("pkcs8 -topk8 -in key.pem -passout pass:x -out encrypted.pem");
    user.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out small.pem");
    user.openssl("genpkey -algorithm X25519 -out x25519.pem");
    for (file, expected) in [
        ("missing.pem", "cannot read missing.pem"),
        ("public.pem", "the private key is needed here"),
        ("encrypted.pem", "set COUNTERSIGN_KEY_PASSPHRASE"),
        ("small.pem", "1024 bits; at least 2048"),
        ("x25519.pem", "not supported"),
        ("/dev/null", "is no key"),
        ("/dev/zero", "too long"),
    ] {
        let refused = user.fails(&["register", "alice", "--key", file]);
        assert!(refused.contains(expected), "{file}: {refused}");
        assert!(!refused.contains("cannot talk"), "{refused}");
    }
    let name = "x".repeat(65);
    assert!(user.fails(&["register", &name]).contains("1 to 64 characters"));
    assert!(user.fails(&["register", "a"]).contains("is the server running?"));
    assert!(!user.keyring().exists(), "no keyring is made for nothing");
}

/// Where the key files of other programs are.
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/vectors");

#[test]
fn a_key_file_of_another_program_is_named_with_what_to_do() {
    let user = User::of("http://127.0.0.1:1");
    for (file, expected) in [
        ("key-files/p256.p12", "openssl pkcs12 -in FILE -nodes -nocerts -out KEY"),
        ("key-files/java.jks", "keytool -importkeystore -srckeystore FILE"),
        ("key-files/ed25519.ppk", "puttygen FILE -O private-openssh-new -o KEY"),
        ("key-files/p521.ppk", "the curve P-521 is not supported"),
        ("key-files/rsa-2048.sshcom", "puttygen FILE -O private-openssh-new -o KEY"),
        ("key-files/pgp-private.asc", "OpenPGP"),
        ("key-files/openssh-p521-encrypted", "the curve P-521 is not supported"),
        ("key-files/openssh-rsa-1024-encrypted", "1024 bits; at least 2048"),
        ("key-files/pbes2/scrypt.pem", "openssl pkey -in KEY -out PLAIN"),
        ("keys/rsa-2048.pkcs1-encrypted.pem", "openssl pkey -in KEY -out PLAIN"),
        ("key-files/pbes2/scrypt.pem", "-provider legacy -provider default"),
        ("keys/p256.certificate.pem", "the private key is needed here"),
        ("rfc4716/ed25519.pub", "this is a public key"),
    ] {
        let path = format!("{VECTORS}/{file}");
        for refused in [
            user.fails(&["register", "alice", "--key", &path]),
            user.fails(&["keyring", "import", "alice", &path]),
        ] {
            assert!(refused.contains(expected), "{file}: {refused}");
        }
    }
}

#[test]
fn the_commands_of_a_refusal_make_a_key_that_is_taken() {
    let user = User::of("http://127.0.0.1:1");
    let pass = "-passin pass:countersign";
    let given = |file: &str| format!("{VECTORS}/{file}");
    let made = [
        format!("pkcs12 -in {} -nodes -nocerts -out 12.pem {pass}", given("key-files/p256.p12")),
        format!("pkey -in {} -out 5.pem {pass}", given("key-files/pbes2/scrypt.pem")),
        format!("pkey -in {} -out 1.pem {pass}", given("keys/rsa-2048.pkcs1-encrypted.pem")),
    ];
    for command in &made {
        user.openssl(command);
    }
    for file in ["12.pem", "5.pem", "1.pem"] {
        user.does(&["keyring", "import", file, file]);
    }
}

#[test]
fn an_encrypted_pkcs8_opens_with_the_passphrase_of_the_key_file() {
    let user = User::of("http://127.0.0.1:1");
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    user.openssl("pkcs8 -topk8 -in key.pem -passout pass:x -out encrypted.pem");
    user.openssl("pkcs8 -topk8 -in key.pem -passout pass:x -outform DER -out encrypted.der");
    user.does(&["keyring", "import", "plain", "key.pem"]);
    let with = |passphrase: &str, file: &str| {
        let mut command = user.command(&["keyring", "import", file, file]);
        command.env("COUNTERSIGN_KEY_PASSPHRASE", passphrase);
        Said::of(command)
    };
    assert!(with("y", "encrypted.pem").stderr.contains("does not open"));
    for file in ["encrypted.pem", "encrypted.der"] {
        // Others may read it: it is encrypted.
        fs::set_permissions(user.path(file), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(with("x", file).status, 0);
        let exported = user.does(&["keyring", "export", file, "--reveal-private-key"]);
        assert_eq!(exported, user.does(&["keyring", "export", "plain", "--reveal-private-key"]));
    }
}

#[test]
fn a_server_that_is_none_is_told_apart() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    let by_name = server.url().replace("127.0.0.1", "localhost");
    let other = user.fails(&["register", "a", "--server", &by_name]);
    assert!(other.contains(&format!("try: --server {:?}", server.url())), "{other}");
    let metrics = format!("{}/metrics", server.url());
    assert!(user.fails(&["register", "a", "--server", &metrics]).contains("does not describe"));
    for bad in ["auth.example", "ftp://x", "https://u:p@x"] {
        assert!(user.fails(&["register", "a", "--server", bad]).contains("not an address"));
    }
    let insecure = user.fails(&["register", "a", "--server", "http://auth.example"]);
    assert!(insecure.contains("unencrypted"), "{insecure}");
    assert!(user.fails(&["register", "a", "--ca", "missing"]).contains("cannot read missing"));
}

#[test]
fn a_private_certificate_authority_can_be_trusted() {
    let user = User::of("https://127.0.0.1:1");
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    user.openssl(&format!("req -x509 {new_key} -keyout ca.key -out ca.pem -subj /CN=CA"));
    user.openssl(&format!(
        "req -x509 -CA ca.pem -CAkey ca.key {new_key} -keyout tls.key -out tls.pem -subj /CN=server \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    ));
    let file = |name| user.path(name).to_str().unwrap().to_owned();
    let server = Server::start(&["--tls-cert", &file("tls.pem"), "--tls-key", &file("tls.key")]);
    assert!(server.url().starts_with("https://"));
    let untrusted = user.fails(&["register", "alice", "--server", server.url()]);
    assert!(untrusted.contains("--ca FILE"), "{untrusted}");
    user.does(&["register", "alice", "--server", server.url(), "--ca", "ca.pem"]);
    user.does(&["whoami", "alice", "--ca", "ca.pem"]);
    assert!(user.fails(&["whoami", "alice", "--ca", "tls.key"]).contains("no certificate in it"));
}

#[test]
fn a_self_signed_certificate_that_is_an_authority_is_refused_with_the_remedy() {
    let user = User::of("https://127.0.0.1:1");
    let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out \
                tls.pem -subj /CN=server -addext subjectAltName=IP:127.0.0.1";
    let file = |name| user.path(name).to_str().unwrap().to_owned();
    let remedy = "-addext basicConstraints=critical,CA:FALSE";
    let start = || Server::start(&["--tls-cert", &file("tls.pem"), "--tls-key", &file("tls.key")]);
    let register = |server: &Server| {
        ["register", "alice", "--ca", "tls.pem", "--server", server.url()].map(str::to_owned)
    };

    user.openssl(make);
    let server = start();
    let refused = user.fails(&register(&server).each_ref().map(String::as_str));
    assert!(refused.contains(remedy), "{refused}");

    user.openssl(&format!("{make} {remedy}"));
    let server = start();
    user.does(&register(&server).each_ref().map(String::as_str));
}

/// A server whose answer to a registration gets lost; it names itself as the issuer.
fn forgetful() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let metadata = format!(r#"{{"issuer":"{origin}","token_endpoint":"{origin}/oauth/token"}}"#);
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let request = BufReader::new(&stream).lines().next().unwrap().unwrap();
            if request.starts_with("GET ") {
                let length = metadata.len();
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
                write!(&stream, "{head}: {length}\r\n\r\n{metadata}").unwrap();
            }
        }
    });
    origin
}

#[test]
fn a_lost_answer_loses_no_key() {
    let server = forgetful();
    let user = User::of(&server);
    let lost = user.fails(&["register", "alice"]);
    assert!(lost.contains("keeps it as alice: run the same command again"), "{lost}");
    let kept = user.does(&["keyring", "show", "alice"]);
    assert!(kept.contains("not known"), "{kept}");
    let again = user.fails(&["register", "alice"]);
    assert!(again.contains("going on with the key of the entry alice"), "{again}");
    assert_eq!(user.does(&["keyring", "show", "alice"]), kept);
}

#[test]
fn an_interrupted_registration_can_be_gone_on_with() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    // The key is in the keyring, and the server may know it or not.
    user.does(&["keyring", "import", "alice", "key.pem"]);
    assert!(user.does(&["register", "alice"]).starts_with("alice is registered at"));
    let other = User::of(server.url());
    let key = user.path("key.pem");
    other.does(&["keyring", "import", "alice", key.to_str().unwrap()]);
    let known = other.does(&["register", "alice"]);
    assert!(known.starts_with("alice was registered already at"), "{known}");
    other.does(&["whoami"]);

    // A key that is somebody else's is not taken for one's own, and not thrown away.
    other.does(&["keyring", "import", "mine", key.to_str().unwrap(), "--username", "mallory"]);
    let taken = other.fails(&["register", "mallory"]);
    assert!(taken.contains("key-taken") && taken.contains("still has the key, as mine"), "{taken}");
}

#[test]
fn an_invitation_is_used_up_by_success_only() {
    let server = Server::start(&["--enrolment", "invited"]);
    let user = User::of(server.url());
    let refused = user.fails(&["register", "alice"]);
    assert!(refused.contains("enrolment-closed") && refused.contains("--code CODE"), "{refused}");
    let refused = user.fails(&["register", "alice", "--code", "nonsense"]);
    assert!(refused.contains("enrolment-code"), "{refused}");
    assert_eq!(user.does(&["keyring", "list"]), "");
}
