//! `countersign call`: what goes out, what comes back, and the exit status.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod user;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

use countersign_protocol::strict::base64url;
use support::Server;
use user::{Said, User};

/// A resource server that answers with the request as it came; the path is the status.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the process.
    thread::spawn(move || listener.incoming().for_each(|stream| answer(&stream.unwrap())));
    origin
}

fn answer(mut stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    let mut length = 0;
    while !request.ends_with("\r\n\r\n") {
        let start = request.len();
        if reader.read_line(&mut request).unwrap() == 0 {
            return;
        }
        if let Some(value) = request[start..].strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let status = request.split(['/', ' ', '?']).nth(2).unwrap();
    let body = [request.as_bytes(), &body].concat();
    let head = format!(
        "HTTP/1.1 {status} Something\r\nx-thing: 1\r\nx-thing: 2\r\n\
         location: http://127.0.0.1:1/\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
}

/// A user whose key is in a file, because opening keyrings takes time, and an API to call.
struct Caller {
    server: Server,
    user: User,
    echo: String,
}

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

impl Caller {
    fn new() -> Self {
        let echo = echo();
        let server = Server::start(&["--resource", &echo, "--resource", NOBODY]);
        let user = User::of(server.url());
        user.openssl("genpkey -algorithm ED25519 -out key.pem");
        user.does(&["register", "alice", "--key", "key.pem"]);
        Self { server, user, echo }
    }

    fn command(&self, args: &[&str]) -> Command {
        let key = ["call", "--key", "key.pem", "--username", "alice"];
        self.user.command(&[&key, args].concat())
    }

    fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args))
    }

    fn does(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.status, 0, "{args:?}\n{}", said.stderr);
        said.stdout
    }
}

#[test]
fn the_request_is_what_curl_would_send_and_signed() {
    let caller = Caller::new();
    let url = format!("{}/200?a=b", caller.echo);
    let plain = caller.does(&["get", &url]);
    assert!(plain.starts_with("GET /200?a=b HTTP/1.1\r\n"), "{plain}");
    assert!(plain.contains("\r\nauthorization: DPoP eyJ") && plain.contains("\r\ndpop: eyJ"));
    assert!(!plain.contains("content-type"));

    let json = caller.does(&["POST", &url, "-d", r#"{"a": [1]}"#]);
    assert!(json.contains("\r\ncontent-type: application/json\r\n"), "{json}");
    assert!(json.ends_with("\r\n\r\n{\"a\": [1]}"));
    let form = caller.does(&["POST", &url, "-d", "a=1", "-d", "-b=2"]);
    assert!(form.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{form}");
    assert!(form.ends_with("\r\n\r\na=1&-b=2"));

    fs::write(caller.user.path("data"), "[1,\r\n 2]\n").unwrap();
    let file = caller.does(&["PUT", &url, "-d", "@data", "-H", "content-TYPE: text/x; a=b"]);
    assert!(file.contains("\r\ncontent-type: text/x; a=b\r\n"), "{file}");
    assert!(file.ends_with("\r\n\r\n[1,\r\n 2]\n"), "as it is: {file:?}");
    let headers = caller.does(&["GET", &url, "-H", "X-A: 1", "-H", "X-A: 2", "-H", "x-b:"]);
    assert!(headers.contains("\r\nx-a: 1\r\nx-a: 2\r\nx-b: \r\n"), "{headers}");

    let mut child = caller.command(&["POST", &url, "-d", "@-"]);
    child.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.ends_with(b"\r\n\r\nfrom a pipe"));
}

#[test]
fn the_exit_status_tells_how_it_went() {
    let caller = Caller::new();
    let echo = &caller.echo;
    for (status, expected) in [(200, 0), (204, 0), (302, 0), (400, 22), (404, 22), (503, 22)] {
        let said = caller.run(&["GET", &format!("{echo}/{status}")]);
        assert_eq!(said.status, expected, "{status}: {}", said.stderr);
        // The body is printed all the same; a 204 has none.
        assert_eq!(said.stdout.starts_with("GET /"), status != 204, "{}", said.stdout);
        let is_said = expected == 22 || status == 302;
        assert_eq!(said.stderr.contains(&format!("the answer is {status}")), is_said);
        assert_eq!(said.stderr.contains("which is not followed"), status == 302);
    }
    for (args, expected) in [
        (&["GET", "http://127.0.0.1:1/"][..], "cannot talk to http://127.0.0.1:1"),
        (&["GET", "http://192.0.2.1/"], "unencrypted"),
        (&["GET", "ftp://127.0.0.1/"], "not an address"),
        (&["GET", "http://127.0.0.1:2/"], "serve --resource"),
        (&["GET", &format!("{echo}/200"), "--resource", "https://other"], "serve --resource"),
        (&["GET", "/v1/whoami", "-d", "@missing"], "cannot read missing"),
        (&["GET", "/v1/whoami", "-o", "/nowhere/x"], "cannot write /nowhere/x"),
        (&["GET", "/v1/whoami", "-d", "@-", "-d", "@-"], "only once"),
    ] {
        let said = caller.run(args);
        assert_eq!(said.status, 1, "{args:?}");
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    for args in [
        &["GET"][..],
        &["G T", "/"],
        &["GET", "/", "-H", "Authorization: Bearer x"],
        &["GET", "/", "-H", "dpop: x"],
        &["GET", "/", "-H", "nonsense"],
        &["GET", "/", "--max-time", "0"],
        &["GET", "/", "--as", "alice"],
    ] {
        let said = caller.run(args);
        assert_eq!(said.status, 2, "{args:?}: {}", said.stderr);
    }
}

#[test]
fn status_and_headers_precede_the_body_when_asked_for() {
    let caller = Caller::new();
    let url = format!("{}/200", caller.echo);
    let said = caller.does(&["GET", &url, "-i"]);
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nx-thing: 1\r\nx-thing: 2\r\n"), "{head}");
    assert!(body.starts_with("GET /200"));

    assert_eq!(caller.does(&["GET", &url, "-o", "answer"]), "");
    let written = fs::read_to_string(caller.user.path("answer")).unwrap();
    assert!(written.starts_with("GET /200"), "{written}");
}

#[test]
fn the_keyring_keeps_the_token_between_calls() {
    let caller = Caller::new();
    let token_id = || {
        let who = caller.user.does(&["call", "GET", "/v1/whoami"]);
        who.split("\"token_id\":\"").nth(1).unwrap()[..36].to_owned()
    };
    let first = token_id();
    assert_eq!(token_id(), first);
    // The address tells which server is meant, and which entry.
    let user = &caller.user;
    user.openssl("genpkey -algorithm ED25519 -out other.pem");
    let elsewhere = ["--server", "https://auth.example", "--username", "a"];
    user.does(&[&["keyring", "import", "other", "other.pem"][..], &elsewhere].concat());
    let url = format!("{}/v1/whoami", caller.server.url());
    let mut command = user.command(&["call", "GET", &url]);
    command.env_remove("COUNTERSIGN_SERVER");
    let said = Said::of(command);
    assert!(said.stdout.contains(&first), "{}", said.stderr);
}

/// The claims of the token in the request that the API got.
fn claims(request: &str) -> serde_json::Value {
    let token = request.split("authorization: DPoP ").nth(1).unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap()
}

#[test]
fn each_api_gets_a_token_for_itself_alone() {
    let caller = Caller::new();
    let user = &caller.user;
    let url = format!("{}/200", caller.echo);
    let here = claims(&user.does(&["call", "GET", &url]));
    assert_eq!(here["aud"], caller.echo.as_str());
    assert_eq!(claims(&user.does(&["call", "GET", &url])), here, "it is kept");
    assert!(
        user.does(&["call", "GET", "/v1/whoami"]).contains("alice"),
        "another is for the server"
    );
    let other = user.does(&["call", "GET", &url, "--resource", NOBODY]);
    assert_eq!(claims(&other)["aud"], NOBODY, "the API may go by another name");

    let printed = user.does(&["login", "--print-token", "--resource", &caller.echo]);
    assert_eq!(claims(&format!("authorization: DPoP {printed}"))["aud"], caller.echo.as_str());
    assert!(user.does(&["logout"]).contains("logged out"));
    assert_ne!(claims(&user.does(&["call", "GET", &url]))["jti"], here["jti"]);
}
