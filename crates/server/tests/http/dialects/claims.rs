//! Keys that accounts were registered with and never proved: they touch nobody else.

use countersign_authority::model::{audit::EventKind, policy::PasswordPolicy};
use countersign_protocol::{
    keys::{
        KeyPolicy, PrivateKey, PublicKey,
        raw_rsa::{self, RawRsaPrivateKey},
    },
    strict::base64,
};
use countersign_testkit::keys;
use http::StatusCode;
use serde_json::json;

use super::server::{Answer, Server};
use crate::support::TestKey;

fn of(number: u64) -> (PrivateKey, TestKey) {
    (keys::ed25519(number), TestKey::number(number))
}

async fn register_mutually(server: &Server, name: &str, key: &PrivateKey) -> Answer {
    let spki = base64::encode(&key.public_key().to_spki_der());
    server.post("/register", json!({ "username": name, "clientSidePublicKey": spki })).await
}

/// Signs one request of *signjwt* and returns its status.
async fn sign_in(server: &Server, name: &str, key: &PrivateKey) -> StatusCode {
    let session = server.post("/login", json!({ "user_id": name })).await;
    let text = |member: &str| session.body[member].as_str().unwrap().to_owned();
    let message = format!("{}{}", text("nonce"), text("jwt"));
    let signature = base64::encode(&key.sign(key.algorithm(), message.as_bytes()).unwrap());
    let body = json!({ "jwt": text("jwt"), "signed_message": signature });
    server.post("/protected", body).await.status
}

#[tokio::test]
async fn a_claim_to_a_bound_key_ends_no_token_of_its_owner() {
    let server = Server::start_with(|policy| policy.passwords = Some(PasswordPolicy::default()));
    let server = server.await;
    let (private, key) = of(1);
    let body = json!({ "username": "carol", "email": "carol@example.com" });
    let password = server.post("/register", body).await.body["password"].clone();
    let nonce = server.0.token_nonce();
    let proof = server.0.proof(&key, "POST", "/auth").claim("nonce", json!(nonce)).sign();
    let credentials = json!({ "username": "carol", "password": password });
    let answer: Answer =
        server.call("POST", "/auth").json(&credentials).dpop(&proof).send().await.into();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let token = answer.body["token"].as_str().unwrap().to_owned();
    server.0.whoami(&key, &token).await.is(200);

    assert_eq!(server.register("mallory", &private).await.status, StatusCode::OK);
    assert_eq!(register_mutually(&server, "trudy", &private).await.status, StatusCode::OK);
    server.0.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn a_claimed_key_can_be_a_session_key_and_a_proven_one_cannot() {
    let server = Server::start().await;
    let (alice, session) = (TestKey::number(1), of(2));
    server.0.register("alice", &alice).await;
    server.0.login_with_session_key("alice", &alice, &session.1).await;
    assert_eq!(server.register("mallory", &session.0).await.status, StatusCode::OK);
    server.0.login_with_session_key("alice", &alice, &session.1).await;
    assert_eq!(sign_in(&server, "mallory", &session.0).await, StatusCode::OK);
    let assertion = server.0.assertion("alice", &alice).header("kid", alice.thumbprint());
    let assertion = assertion.claim("cnf", json!({ "jkt": session.1.thumbprint() })).sign();
    let request = server.0.token_request(&assertion, &server.0.token_proof(&session.1).sign());
    request.send().await.is_oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn of_several_claimants_the_first_who_signs_has_the_key() {
    let server = Server::start().await;
    let (private, key) = of(1);
    for name in ["mallory", "alice", "trudy"] {
        assert_eq!(server.register(name, &private).await.status, StatusCode::OK, "{name}");
    }
    assert_eq!(sign_in(&server, "alice", &private).await, StatusCode::OK);
    assert_eq!(server.events(EventKind::KeyClaimLost).await, 2);
    for name in ["mallory", "trudy"] {
        assert_eq!(sign_in(&server, name, &private).await, StatusCode::FORBIDDEN, "{name}");
        let request = server.0.login_request(name, &key);
        request.send().await.is_oauth_error(400, "invalid_grant");
    }
    assert_eq!(sign_in(&server, "alice", &private).await, StatusCode::OK);
    server.0.login("alice", &key).await;
    let late = server.register("late", &private).await.status;
    assert_eq!(late, StatusCode::CONFLICT, "somebody has proven it");
}

#[tokio::test]
async fn a_login_by_an_assertion_proves_a_claim_too() {
    let server = Server::start().await;
    let (private, key) = of(1);
    for name in ["mallory", "alice"] {
        server.register(name, &private).await;
    }
    server.0.login("alice", &key).await;
    let request = server.0.login_request("mallory", &key);
    request.send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_claimed_key_is_registered_by_whoever_proves_it() {
    let server = Server::start().await;
    let (private, key) = of(1);
    assert_eq!(server.register("mallory", &private).await.status, StatusCode::OK);
    server.0.register("alice", &key).await;
    server.0.login("alice", &key).await;
    assert_eq!(sign_in(&server, "mallory", &private).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_claimed_key_logs_in_to_passwordless_by_whoever_has_it() {
    let server = Server::start().await;
    let private = keys::from_pem(keys::RSA_2048_PEM);
    for name in ["mallory", "alice"] {
        let answer = register_mutually(&server, name, &private).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        if name == "mallory" {
            continue;
        }
        let server_key = answer.body["serverSidePublicKey"].as_str().unwrap();
        let server_key = PublicKey::parse(server_key, &KeyPolicy::default()).unwrap();
        let challenge = server.get("/challenge/alice").await.body["challenge"].clone();
        let challenge = base64::decode(challenge.as_str().unwrap()).unwrap();
        let number = raw_rsa::recover(&server_key, &challenge).unwrap();
        let raw = RawRsaPrivateKey::from_pkcs8_der(&private.to_pkcs8_der()).unwrap();
        let proposal = base64::encode(&raw.encrypt(&number).unwrap());
        let answer = server.post("/authenticate/alice", json!({ "proposal": proposal })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    assert_eq!(server.events(EventKind::KeyClaimLost).await, 1);
}

#[tokio::test]
async fn an_e_mail_address_that_a_stranger_named_first_keeps_its_owner_out_of_nothing() {
    let server = Server::start_with(|policy| policy.passwords = Some(PasswordPolicy::default()));
    let server = server.await;
    for name in ["mallory", "alice"] {
        let body = json!({ "username": name, "email": "alice@example.com" });
        assert_eq!(server.post("/register", body).await.status, StatusCode::CREATED, "{name}");
    }
    let again = json!({ "username": "Alice", "email": "other@example.com" });
    assert_eq!(server.post("/register", again).await.status, StatusCode::CONFLICT);
}
