//! Invitations in the formats that do not know them.

use std::time::Duration;

use countersign_authority::{accounts::administration::NewInvitation, model::policy::Enrolment};
use countersign_testkit::{
    keys::{RSA_2048_PEM, ed25519, from_pem},
    samples::{scopes, username},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::server::Server;

/// Every way to register that takes a code, for `name`.
fn ways(name: &str) -> [(Value, StatusCode); 3] {
    let pem = ed25519(1).public_key().to_spki_pem();
    let rsa = from_pem(RSA_2048_PEM).public_key().to_spki_pem();
    [
        (json!({ "user_id": name, "public_key": pem }), StatusCode::OK),
        (json!({ "username": name, "email": "a@example.com" }), StatusCode::CREATED),
        (json!({ "username": name, "clientSidePublicKey": rsa }), StatusCode::OK),
    ]
}

async fn invite(server: &Server, name: Option<&str>) -> String {
    let invitation = NewInvitation {
        username: name.map(username),
        scopes: scopes("class"),
        expires_at: server.authority().core.now() + Duration::from_hours(1),
    };
    server.admin().invite(invitation).await.unwrap().reveal().to_owned()
}

fn with_code(body: &Value, code: &str) -> Value {
    let mut body = body.clone();
    body["enrolment_code"] = json!(code);
    body
}

#[tokio::test]
async fn a_code_lets_in_once_and_brings_its_scopes() {
    for way in 0..3 {
        let server = Server::start_with(|policy| policy.enrolment = Enrolment::Invited).await;
        let (body, success) = ways("alice")[way].clone();
        let refused = server.post("/register", body.clone()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.body["detail"].as_str().unwrap().contains("enrolment_code is needed"));
        let code = invite(&server, Some("alice")).await;
        let (mallory, _) = ways("mallory")[way].clone();
        for (body, code) in [(&mallory, code.as_str()), (&body, "no code")] {
            let answer = server.post("/register", with_code(body, code)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
        }
        let answer = server.post("/register", with_code(&body, &code)).await;
        assert_eq!(answer.status, success, "{}", answer.body);
        let again = server.post("/register", with_code(&body, &code)).await;
        assert_eq!(again.status, StatusCode::FORBIDDEN, "it says nothing about the name");
        let name = "alice".parse().unwrap();
        let account = server.ports().store.account(&name).await.unwrap().unwrap();
        assert!(account.scopes.contains("class"));
    }
}

#[tokio::test]
async fn the_seal_has_its_password_and_takes_no_code() {
    let server = Server::start().await;
    let body = json!({ "c": "AAAA", "iv": "AAAA", "key": "AAAA", "enrolment_code": "x" });
    let answer = server.post("/register", body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.ends_with("enrolment_code (jwks-server, passwordless, signjwt)"), "{detail}");
}
