//! `GET /v1/accounts/{username}/jwks.json`: the live public keys of an account.

use countersign_authority::model::account::AccountStatus;

use crate::support::{TestApp, TestKey};

#[tokio::test]
async fn the_live_keys_are_listed_by_name_and_by_id() {
    let scopes = "read items".parse().unwrap();
    let app = TestApp::start_with(|setup| setup.policy.default_scopes = scopes).await;
    let key = TestKey::number(1);
    let id = app.register("Alice", &key).await;
    for name in ["Alice", "alice", "al%69ce", &id] {
        let answer = app.call("GET", &format!("/v1/accounts/{name}/jwks.json")).send().await;
        answer.is(200);
        assert_eq!(answer.header("content-type"), "application/jwk-set+json");
        assert_eq!(answer.header("cache-control"), "public, max-age=5");
        let mut expected = key.jwk();
        expected["use"] = "sig".into();
        expected["kid"] = key.thumbprint().into();
        let document = serde_json::json!({
            "keys": [expected],
            "account_id": id,
            "username": "Alice",
            "scope": "items read",
        });
        assert_eq!(answer.json(), document);
    }
}

#[tokio::test]
async fn a_revoked_key_leaves_the_list() {
    let app = TestApp::start().await;
    let (key, old) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &key).await;
    app.key_addition(&key, &token, &old).send().await.is(201);
    let listed = async || {
        let answer = app.call("GET", "/v1/accounts/alice/jwks.json").send().await;
        answer.is(200).json()["keys"].as_array().unwrap().len()
    };
    assert_eq!(listed().await, 2);
    app.revoke_key(&key, &token, &old).await.is(204);
    assert_eq!(listed().await, 1);
}

#[tokio::test]
async fn what_is_no_active_account_is_not_found() {
    let app = TestApp::start().await;
    app.register("alice", &TestKey::number(1)).await;
    app.admin().set_status(&"alice".parse().unwrap(), AccountStatus::Disabled).await.unwrap();
    app.notice_changes().await;
    for name in [
        "",
        "alice",
        "bob",
        "018bcfe5-6800-7000-8000-000000000000",
        "%20",
        "%FF",
        "a%00b",
        "..%2F..%2Fetc",
        "%C3%A4",
        &"x".repeat(1000),
    ] {
        let answer = app.call("GET", &format!("/v1/accounts/{name}/jwks.json")).send().await;
        answer.is_problem(404, "not-found");
    }
}
