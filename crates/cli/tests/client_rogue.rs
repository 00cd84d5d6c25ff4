//! The command line against a server that wants something signed which is worth something elsewhere.
//!
//! The rogue answers every login in *signjwt* with what the real server would give for the same
//! account, or with a text of its choosing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod user;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use countersign_protocol::strict::base64url;
use support::Server;
use user::{Said, User};

const KEYS: [(&str, &str); 4] = [
    ("rsa.pem", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem"),
    ("p256.pem", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.pem"),
    ("p384.pem", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem"),
    ("ed25519.pem", "genpkey -algorithm ED25519 -out ed25519.pem"),
];

/// What was asked, head and body in one text each.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server that opens sessions as `session` says, and takes every request that is signed.
fn rogue(session: impl Fn(&str) -> String + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let (own, seen) = (origin.clone(), Arc::clone(&asked));
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = read(&stream) else { continue };
            let body = if request.contains("/.well-known/") {
                format!(r#"{{"issuer":"{own}","token_endpoint":"{own}/oauth/token"}}"#)
            } else if request.starts_with("POST /login ") {
                session(request.split("\r\n\r\n").nth(1).unwrap())
            } else {
                let thumbprint = "gpZEObR0cFJ3BxTqEMo_aZOSFcQClQVqVYd_aMhdRIE";
                let who = r#"{"account_id":"0189","username":"alice","thumbprint":""#;
                format!("{who}{thumbprint}\"}}")
            };
            seen.lock().unwrap().push(request);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (origin, asked)
}

fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    while !request.ends_with("\r\n\r\n") {
        let start = request.len();
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
        if let Some(value) = request[start..].strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some(request + std::str::from_utf8(&body).unwrap())
}

/// Whether a request carries the signature of a session.
fn is_signed(request: &str) -> bool {
    request.to_ascii_lowercase().contains("\r\nsigned-message: ")
}

/// The answer of the real server to the same login.
fn relayed(real: &str, login: &str) -> String {
    let mut command = Command::new("curl");
    let url = format!("{real}/login");
    command.args(["-s", "-H", "Content-Type: application/json", "-d", login, &url]);
    Said::of(command).stdout
}

/// Every way in which the command line signs in *signjwt*, with that key.
fn commands(key: &str) -> [Vec<&str>; 3] {
    let by = ["--dialect", "signjwt", "--key", key];
    let as_alice = [&by[..], &["--username", "alice"]].concat();
    [
        [&["login"], &as_alice[..]].concat(),
        [&["call", "GET", "/v1/whoami"], &as_alice[..]].concat(),
        [&["register", "alice"], &by[..]].concat(),
    ]
}

#[test]
fn a_relayed_session_is_not_signed_by_any_kind_of_key() {
    let real = Server::start(&[]);
    let url = real.url().to_owned();
    let (rogue, asked) = rogue(move |login| relayed(&url, login));
    for (key, make) in KEYS {
        let user = User::of(&rogue);
        user.openssl(make);
        for command in commands(key) {
            let refused = user.fails(&command);
            let expected = format!("the session belongs to \"{}\"", real.url());
            assert!(refused.contains(&expected), "{command:?}\n{refused}");
            assert!(refused.contains("nothing was signed"), "{refused}");
        }
    }
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|request| request.starts_with("POST /login ")));
    let signed: Vec<_> = asked.iter().filter(|request| is_signed(request)).collect();
    assert!(signed.is_empty(), "{signed:?}");
}

#[test]
fn a_forged_assertion_is_not_signed_by_any_kind_of_key() {
    for ((key, make), alg) in KEYS.into_iter().zip(["PS256", "ES256", "ES384", "EdDSA"]) {
        // White space makes a nonce of the first 22 characters.
        let header = format!("{{\"alg\":\"{alg}\", \n\"typ\":\"JWT\"}}");
        let claims = r#"{"iss":"alice","sub":"alice","aud":"https://real","exp":9999999999}"#;
        let [header, claims] = [&*header, claims].map(|text| base64url::encode(text.as_bytes()));
        let wanted = format!("{header}.{claims}");
        let (rogue, asked) =
            rogue(move |_| format!(r#"{{"nonce":"{}","jwt":"{}"}}"#, &wanted[..22], &wanted[22..]));
        let user = User::of(&rogue);
        user.openssl(make);
        for command in commands(key) {
            let refused = user.fails(&command);
            assert!(refused.contains("the form of a session"), "{command:?}\n{refused}");
        }
        let asked = asked.lock().unwrap();
        assert!(asked.iter().all(|request| !is_signed(request)), "{asked:?}");
    }
}

#[test]
fn call_sends_a_signature_to_the_issuer_only_unless_told() {
    let server = Server::start(&[]);
    let user = User::of(server.url());
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    user.does(&["register", "alice", "--key", "key.pem"]);
    let (api, asked) = rogue(|_| String::new());
    let url = format!("{api}/items");
    let key = ["--key", "key.pem", "--username", "alice", "--dialect", "signjwt"];
    let call = [&["call", "GET", &url], &key[..]].concat();
    let refused = user.fails(&call);
    assert!(refused.contains("covers no method, URL or body"), "{refused}");
    assert!(refused.contains(&format!("--send-session-to {api}")), "{refused}");
    let other = user.fails(&[&call[..], &["--send-session-to", server.url()]].concat());
    assert!(other.contains("nothing was signed"), "{other}");
    let more = user.fails(&[&call[..], &["--send-session-to", &url]].concat());
    assert!(more.contains("is not an origin"), "{more}");
    assert!(asked.lock().unwrap().is_empty());

    user.does(&[&call[..], &["--send-session-to", &api]].concat());
    assert!(is_signed(&asked.lock().unwrap()[0]));
    // The server itself needs no permission, and other ways to sign have no use for one.
    user.does(&[&["call", "GET", "/v1/whoami"], &key[..]].concat());
    let unused = user.run(&["call", "GET", &url, "--send-session-to", &api]);
    assert_eq!(unused.status, 2, "{}", unused.stderr);
}

#[test]
fn a_server_that_says_it_is_another_one_gets_nothing() {
    let real = Server::start(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rogue = format!("http://{}", listener.local_addr().unwrap());
    let issuer = real.url().to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = read(&stream).unwrap_or_default();
            assert!(request.contains("/.well-known/"), "{request}");
            let body =
                format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/oauth/token"}}"#);
            let head = "HTTP/1.1 200 OK\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let user = User::of(&rogue);
    user.openssl("genpkey -algorithm ED25519 -out key.pem");
    let key = ["--key", "key.pem", "--username", "alice"];
    for dialect in ["", "self-signed", "signjwt", "gradecoin"] {
        let dialect = ["--dialect", dialect];
        let dialect = if dialect[1].is_empty() { &[][..] } else { &dialect };
        let refused = user.fails(&[&["login"], &key[..], dialect].concat());
        assert!(refused.contains("was asked for"), "{refused}");
    }
}
