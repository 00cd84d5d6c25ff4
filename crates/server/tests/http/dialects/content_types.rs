//! What the dialects make of the `Content-Type` of a body: nothing, as the servers do whose formats
//! they are.

use countersign_testkit::keys::{RSA_2048_PEM, ed25519, from_pem};
use serde_json::{Value, json};

use super::server::Server;
use crate::support::{Answer, Call};

/// What clients of the originals send: none, what `curl -d` says, and what others think of.
const TYPES: [Option<&[u8]>; 7] = [
    None,
    Some(b"application/x-www-form-urlencoded"),
    Some(b"text/plain; charset=utf-8"),
    Some(b"application/octet-stream"),
    Some(b"Application/JSON"),
    Some(b""),
    Some(b"\xe9"),
];

/// Every request of a dialect that has a JSON body, and the status that it gets for what it says.
/// Names are new for each `round`.
fn requests(round: u64) -> Vec<(&'static str, Value, u16)> {
    let key = |number: u64| ed25519(10 * round + number).public_key().to_spki_pem();
    let message = json!({ "jwt": "x.y.z", "signed_message": "AAAA" });
    let name = |dialect: &str| format!("{dialect}-{round}");
    vec![
        ("/register", json!({ "user_id": name("signjwt"), "public_key": key(1) }), 200),
        ("/register", json!({ "username": name("jwks"), "email": "a@example.com" }), 201),
        ("/register", json!({ "username": name("mutual"), "clientSidePublicKey": key(2) }), 200),
        ("/register", json!({ "c": "AAAA", "iv": "AAAA", "key": "AAAA" }), 400),
        ("/login", json!({ "user_id": "alice" }), 200),
        ("/protected", message.clone(), 403),
        ("/logout", message, 403),
        ("/auth", json!({ "username": "alice", "password": "wrong" }), 401),
        ("/authenticate/alice", json!({ "proposal": "AAAA" }), 401),
    ]
}

fn call(server: &Server, path: &str, body: &Value, media_type: Option<&[u8]>) -> Call {
    let call = server.call("POST", path).json(body).without_header("content-type");
    match media_type {
        Some(media_type) => call.header("content-type", media_type),
        None => call,
    }
}

#[tokio::test]
async fn the_type_of_a_dialects_body_means_nothing() {
    let server = Server::start().await;
    server.register("alice", &from_pem(RSA_2048_PEM)).await;
    for (round, media_type) in (0..).zip(TYPES) {
        for (path, body, status) in requests(round) {
            let answer = call(&server, path, &body, media_type).send().await;
            assert_eq!(answer.status, status, "{path} {media_type:?}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn what_is_no_json_is_a_bad_request_whatever_its_type() {
    let server = Server::start().await;
    for path in ["/register", "/login", "/protected", "/logout"] {
        for media_type in TYPES {
            let call = call(&server, path, &json!("no object"), media_type);
            let answer: Answer = call.send().await;
            answer.is_problem(400, "invalid-json");
        }
    }
}

#[tokio::test]
async fn a_body_with_a_content_encoding_is_refused_in_every_dialect() {
    let server = Server::start().await;
    for (path, body, _) in requests(0) {
        let call = server.call("POST", path).json(&body).header("content-encoding", "gzip");
        call.send().await.is_problem(415, "unsupported-media-type");
    }
}
