//! The keys that an account can be registered with, and the forms in which they are sent.

use countersign_protocol::{keys::Algorithm, strict::base64};
use countersign_testkit::keys;
use serde_json::{Value, json};

use crate::support::{Call, TestApp, TestKey};

fn with_key(app: &TestApp, username: &str, key: &TestKey, sent: &Value) -> Call {
    app.registration(username, key).json(&json!({ "username": username, "public_key": sent }))
}

#[tokio::test]
async fn every_kind_of_key_registers_in_every_form_and_logs_in() {
    for (number, private) in keys::one_of_each_kind().into_iter().enumerate() {
        let app = TestApp::start().await;
        let key = TestKey::from(private);
        let mut forms = vec![
            key.jwk(),
            key.jwk().to_string().into(),
            key.spki_pem().into(),
            key.spki_pem().replace('\n', "\r\n").into(),
            format!("\n{}\n", key.spki_base64()).into(),
        ];
        if key.jwk()["kty"] == "RSA" {
            forms.push(pkcs1_pem(&key).into());
        }
        let form = forms.remove(number % forms.len());
        let account = with_key(&app, "alice", &key, &form).send().await;
        assert_eq!(account.is(201).text("thumbprint"), key.thumbprint());
        for form in &forms {
            // The same key in another form is the same key.
            with_key(&app, "bob", &key, form).send().await.is_problem(409, "key-taken");
        }
        app.login("alice", &key).await;
    }
}

#[tokio::test]
async fn a_private_key_is_refused_and_not_repeated() {
    let app = TestApp::start().await;
    let key = TestKey::from_pem(keys::EC_P256_PEM);
    let mut private_jwk = key.jwk();
    private_jwk["d"] = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI".into();
    let secrets: [Value; 3] =
        [private_jwk.clone(), private_jwk.to_string().into(), keys::EC_P256_PEM.into()];
    for sent in secrets {
        let answer = with_key(&app, "alice", &key, &sent).send().await;
        answer.is_problem(400, "invalid-key");
        assert!(answer.text("detail").contains("private"), "{answer:?}");
        assert!(
            !answer.body.contains("jpsQ") && !answer.body.contains(&pem_line(keys::EC_P256_PEM))
        );
    }
}

#[tokio::test]
async fn a_proof_that_carries_its_private_key_is_refused() {
    let app = TestApp::start().await;
    let key = TestKey::from_pem(keys::EC_P256_PEM);
    let mut private_jwk = key.jwk();
    private_jwk["d"] = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI".into();
    let proof = app.proof(&key, "POST", "/v1/accounts").header("jwk", private_jwk).sign();
    let registration = app.registration("alice", &key).without_header("dpop");
    registration.dpop(&proof).send().await.is_problem(400, "invalid-proof");
}

#[tokio::test]
async fn weak_and_foreign_keys_are_refused_with_the_reason() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let refuse = async |sent: Value, reason: &str| {
        let answer = with_key(&app, "alice", &key, &sent).send().await;
        answer.is_problem(400, "invalid-key");
        assert!(answer.text("detail").contains(reason), "{reason}: {answer:?}");
    };
    refuse(keys::RSA_1024_PUBLIC_PEM.into(), "at least 2048").await;
    refuse(Value::Object(keys::rsa_1024_public().to_jwk()), "at least 2048").await;
    refuse("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI".into(), "OpenSSH").await;
    refuse("hello".into(), "not a key").await;
    refuse("".into(), "the text is empty").await;
    refuse("x".repeat(20_000).into(), "too long").await;
    refuse(json!({ "keys": [key.jwk()] }), "JWK Set").await;
    refuse(json!({ "kty": "oct", "k": "c2VjcmV0" }), "").await;
    refuse(json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }), "curve").await;
    refuse(json!({}), "kty").await;
    for no_key in [json!(7), json!(null), json!([]), json!(true)] {
        refuse(no_key, "public_key is").await;
    }
    let mut off_curve = TestKey::from_pem(keys::EC_P256_PEM).jwk();
    off_curve["y"] = off_curve["x"].clone();
    refuse(off_curve, "not a point").await;
}

#[tokio::test]
async fn a_key_for_one_algorithm_logs_in_with_that_one_only() {
    let app = TestApp::start().await;
    let key = TestKey::from_pem(keys::RSA_2048_PEM);
    let mut jwk = key.jwk();
    jwk["alg"] = "RS256".into();
    with_key(&app, "alice", &key, &jwk).send().await.is(201);
    let ps256 = key.clone().using(Algorithm::Ps256);
    let assertion = app.assertion("alice", &ps256).sign();
    let refused = app.token_request(&assertion, &app.token_proof(&key).sign()).send().await;
    refused.is_oauth_error(400, "invalid_grant");
    app.login("alice", &key).await;
}

/// An account whose key was registered for RS256 alone, with a token.
async fn with_key_for_rs256(app: &TestApp) -> (TestKey, TestKey, String) {
    let key = TestKey::from_pem(keys::RSA_2048_PEM);
    let mut jwk = key.jwk();
    jwk["alg"] = "RS256".into();
    with_key(app, "alice", &key, &jwk).send().await.is(201);
    let token = app.login("alice", &key).await;
    (key.clone(), key.using(Algorithm::Ps256), token)
}

#[tokio::test]
async fn a_key_for_one_algorithm_proves_nothing_with_another() {
    let app = TestApp::start().await;
    let (key, ps256, token) = with_key_for_rs256(&app).await;
    let assertion = app.assertion("alice", &key).sign();
    let login = app.token_request(&assertion, &app.token_proof(&ps256).sign()).send().await;
    login.is_oauth_error(400, "invalid_dpop_proof");
    app.whoami(&ps256, &token).await.is_refusal(401, "invalid_dpop_proof");
    app.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn the_algorithm_of_a_key_is_published_with_it() {
    let app = TestApp::start().await;
    let (key, _, token) = with_key_for_rs256(&app).await;
    let published = app.call("GET", "/v1/accounts/alice/jwks.json").send().await;
    assert_eq!(published.is(200).json()["keys"][0]["alg"], "RS256");
    let proof = app.resource_proof(&key, &token, "GET", "/v1/keys").sign();
    let listed = app.presenting(&token, &proof, "GET", "/v1/keys").send().await;
    assert_eq!(listed.is(200).json()["keys"][0]["public_key"]["alg"], "RS256");
    let other = TestKey::number(2);
    app.register("bob", &other).await;
    let published = app.call("GET", "/v1/accounts/bob/jwks.json").send().await;
    assert_eq!(published.json()["keys"][0].get("alg"), None, "it is for every one that fits");
}

#[tokio::test]
async fn the_installation_may_accept_shorter_rsa_keys() {
    let app = TestApp::start_with(|setup| setup.policy.keys.min_rsa_bits = 1024).await;
    // The test kit has no private half of this key: the key passes, the proof cannot.
    let sent = keys::RSA_1024_PUBLIC_PEM.into();
    let answer = with_key(&app, "alice", &TestKey::number(1), &sent).send().await;
    answer.is_problem(400, "invalid-proof");
}

/// PKCS#1 (RFC 8017 A.1.1): what the SPKI wraps in its bit string.
fn pkcs1_pem(key: &TestKey) -> String {
    let spki = base64::decode(&key.spki_base64()).unwrap();
    // SEQUENCE, AlgorithmIdentifier of rsaEncryption (15 bytes), BIT STRING with its one byte of 0.
    let der = base64::encode(&spki[4 + 15 + 5..]);
    let lines: Vec<_> =
        der.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", lines.join("\n"))
}

fn pem_line(pem: &str) -> String {
    pem.lines().nth(1).unwrap().to_owned()
}
