//! What is logged: one line for every request, and no secret.

use std::time::Duration;

use countersign_authority::accounts::administration::NewInvitation;
use countersign_protocol::strict::base64url;
use countersign_testkit::{keys, samples::scopes};
use serde_json::Value;

use crate::support::{Fault, Faults, TestApp, TestKey, captured_log};

/// What an opponent could use if he read it: the texts of tokens, proofs, assertions and codes, and
/// the parts of which they consist.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn add(&mut self, text: &str) -> String {
        self.0.push(text.to_owned());
        // A signature alone would do, and so would what is signed.
        let parts = text.split('.').filter(|part| part.len() > 40);
        self.0.extend(parts.map(|part| part[..40].to_owned()));
        text.to_owned()
    }
}

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let log = captured_log();
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| setup.faults = Some(faults.clone())).await;
    let mut secrets = Secrets::default();
    let (key, session) = (TestKey::from_pem(keys::OTHER_EC_P256_PEM), TestKey::number(771));
    for key in [&key, &session] {
        secrets.add(&key.private_base64());
    }
    secrets.add(keys::OTHER_EC_P256_PEM.lines().nth(1).unwrap());
    secrets.add("0f1e2d3c4b5a6978");

    // Registration with a code, refused and granted.
    let invitation = NewInvitation {
        username: None,
        scopes: scopes("read"),
        expires_at: app.now() + Duration::from_hours(1),
    };
    let code = secrets.add(app.admin().invite(invitation).await.unwrap().reveal());
    let proof = secrets.add(&app.proof(&key, "POST", "/v1/accounts").sign());
    let register = |code: &str| {
        let call = app.registration_with_code("alice", &key, code);
        call.without_header("dpop").dpop(&proof)
    };
    register("csi_wrong-code-of-alice").send().await.is(403);
    secrets.add("csi_wrong-code-of-alice");
    register(&code).send().await.is(201);
    let mut private = key.jwk();
    private["d"] = secrets.add("cHJpdmF0ZS1kLXRoYXQtbXVzdC1ub3QtYmUtbG9nZ2U").into();
    let body = serde_json::json!({ "username": "bob", "public_key": private });
    app.registration("bob", &key).json(&body).send().await.is(400);

    // Logins, good and bad.
    let assertion = secrets.add(&app.assertion("alice", &key).sign());
    let proof = secrets.add(&app.token_proof(&key).sign());
    let login = app.token_request(&assertion, &proof);
    let token = secrets.add(&login.clone().send().await.is(200).text("access_token"));
    login.clone().send().await.is(400);
    login.clone().param("scope", "admin").send().await.is(400);
    login.body("application/json", assertion.clone()).send().await.is(400);
    let of_session = app.login_with_session_key("alice", &key, &session).await;
    secrets.add(&of_session);

    // Calls, good and bad.
    let proof = secrets.add(&app.resource_proof(&key, &token, "GET", "/v1/whoami").sign());
    let call = app.presenting(&token, &proof, "GET", "/v1/whoami");
    call.clone().send().await.is(200);
    call.send().await.is(401);
    app.call("GET", &format!("/v1/whoami?access_token={token}")).send().await.is(401);
    app.call("GET", &format!("/{token}")).send().await.is(404);
    app.call("DELETE", &format!("/v1/keys/{token}")).send().await.is(401);
    let bearer = app.call("GET", "/v1/whoami").header("authorization", format!("Bearer {token}"));
    bearer.send().await.is(401);
    let own = app.resource_request(&session, &of_session, "GET", "/v1/events");
    own.send().await.is(200);

    // Introspection, failures, revocation.
    let inspection = secrets.add(&app.assertion("alice", &key).sign());
    let call = app.client_request("/oauth/introspect", "alice", &key).param("token", &token);
    let call = call.without_param("client_assertion").param("client_assertion", &inspection);
    call.clone().send().await.is(200);
    for fault in [Fault::Unavailable, Fault::Corrupt, Fault::ReplayLog] {
        faults.set(fault);
        call.clone().send().await;
        app.login_request("alice", &key).send().await;
        app.whoami(&key, &token).await;
    }
    faults.set(Fault::Unavailable);
    app.write_trail().await;
    faults.clear();
    app.revoke_token(&token).await.is(200);
    app.whoami(&key, &token).await.is(401);

    let text = log.text();
    for secret in &secrets.0 {
        assert!(!text.contains(secret), "{secret} was logged");
        let encoded = base64url::encode(secret.as_bytes());
        assert!(!text.contains(&encoded), "{secret} was logged in base64url");
    }
    assert!(text.contains("audit events cannot be written") && text.contains("\"request failed\""));
}

#[tokio::test]
async fn every_request_is_one_line_with_its_id_client_and_cause() {
    let log = captured_log();
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| setup.faults = Some(faults.clone())).await;
    // Ids repeat in the applications of other tests, whose lines are here too; this client does not.
    let client = "198.51.100.200";
    let call = app.call("GET", "/v1/accounts/Zaphod/jwks.json?q=Trillian").peer(client);
    let good = call.clone().send().await;
    faults.set(Fault::Corrupt);
    let failed = call.send().await;
    let line = |id: &str| {
        let lines = log.text();
        let mut found = lines.lines().filter(|line| line.contains(id) && line.contains(client));
        let line: Value = serde_json::from_str(found.next().unwrap()).unwrap();
        assert_eq!(found.next(), None, "one line for one request");
        line
    };
    let first = line(good.is(404).header("x-request-id"));
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["fields"]["path"], "/v1/accounts/{username}/jwks.json");
    assert_eq!(first["fields"]["client"], client);
    assert_eq!(first["fields"]["status"], 404);
    let second = line(failed.is(500).header("x-request-id"));
    assert_eq!(second["level"], "ERROR");
    assert!(second["fields"]["cause"].as_str().unwrap().contains("on fire"));
    for line in [first, second] {
        assert!(!line.to_string().contains("Zaphod") && !line.to_string().contains("Trillian"));
    }
}

#[tokio::test]
async fn the_line_of_a_request_names_account_and_key_once_they_are_proven() {
    let log = captured_log();
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let client = "198.51.100.201";
    let fields = |answer: &crate::support::Answer| {
        let (lines, id) = (log.text(), answer.header("x-request-id").to_owned());
        let mut found = lines.lines().filter(|line| line.contains(&id) && line.contains(client));
        let mut line: Value = serde_json::from_str(found.next().unwrap()).unwrap();
        line["fields"].take()
    };
    let names = |fields: &Value| ["account", "user", "key"].map(|name| fields[name].clone());

    let registered = app.registration("Zarquon", &key).peer(client).send().await;
    let account = registered.is(201).json()["account_id"].clone();
    let all = [account.clone(), "Zarquon".into(), key.thumbprint().into()];
    assert_eq!(names(&fields(&registered)), all);
    let login = app.login_request("Zarquon", &key).peer(client).send().await;
    let token = login.is(200).text("access_token");
    assert_eq!(names(&fields(&login)), all);
    let proof = app.resource_proof(&key, &token, "GET", "/v1/whoami").sign();
    let request = app.presenting(&token, &proof, "GET", "/v1/whoami").peer(client);
    let good = request.clone().send().await;
    assert_eq!(names(&fields(good.is(200))), all);
    // The token is genuine, so it is known whose it was.
    let replayed = request.clone().send().await;
    assert_eq!(names(&fields(replayed.is(401))), [account, Value::Null, key.thumbprint().into()]);
    let nobody = app.call("GET", "/v1/whoami").peer(client).send().await;
    let of_nobody = fields(nobody.is(401));
    assert!(["account", "user", "key"].iter().all(|name| of_nobody.get(name).is_none()));
}
