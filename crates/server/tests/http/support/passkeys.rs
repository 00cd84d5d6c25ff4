//! What a page does with passkeys.

use countersign_protocol::{digest::sha256, strict::hex};
use countersign_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use super::{Answer, Call, ISSUER, TestApp, TestKey};

pub(crate) const WEBAUTHN: &str = "urn:countersign:params:oauth:grant-type:webauthn";

/// A synced passkey on the pages of the application, with another key than any browser has.
pub(crate) fn synced(number: u64) -> Authenticator {
    Authenticator::synced(1_000 + number, ISSUER)
}

impl TestApp {
    /// A request for options for the browser whose key is `key`.
    pub(crate) fn options_request(&self, key: &TestKey, body: &Value) -> Call {
        let mut body = body.clone();
        body["dpop_jkt"] = key.thumbprint().into();
        self.call("POST", "/v1/passkeys/options").json(&body)
    }

    /// Options for signing in.
    pub(crate) async fn sign_in_options(&self, key: &TestKey) -> Value {
        let body = json!({ "purpose": "sign-in" });
        self.options_request(key, &body).send().await.is(200).json()
    }

    /// Options for the first passkey of an account that is to be called `username`.
    pub(crate) async fn registration_options(&self, key: &TestKey, username: &str) -> Value {
        let body = json!({ "purpose": "register", "username": username });
        self.options_request(key, &body).send().await.is(200).json()
    }

    /// A registration with a passkey and the browser's key, which is remembered.
    pub(crate) fn registration_with_passkey(
        &self,
        username: &str,
        key: &TestKey,
        passkey: &Value,
    ) -> Call {
        let body = json!({
            "username": username,
            "public_key": key.jwk(),
            "remember": "browser",
            "passkey": passkey,
        });
        self.registration(username, key).json(&body)
    }

    /// Registers with a passkey, and returns the account's id.
    pub(crate) async fn register_with_passkey(
        &self,
        username: &str,
        key: &TestKey,
        passkey: &mut Authenticator,
    ) -> String {
        let options = self.registration_options(key, username).await;
        let made = passkey.create(&options);
        let answer = self.registration_with_passkey(username, key, &made).send().await;
        answer.is(201).text("account_id")
    }

    /// A request for a token with that answer of a passkey.
    pub(crate) fn passkey_token_request(&self, key: &TestKey, answer: &str) -> Call {
        self.call("POST", "/oauth/token")
            .param("grant_type", WEBAUTHN)
            .param("assertion", answer)
            .dpop(&self.token_proof(key).sign())
    }

    /// Signs in with a passkey in the browser whose key is `key`.
    pub(crate) async fn sign_in(&self, key: &TestKey, passkey: &mut Authenticator) -> Answer {
        let options = self.sign_in_options(key).await;
        self.passkey_token_request(key, &passkey.answer(&options)).send().await
    }

    /// Signs in and has the browser remembered; returns the token.
    pub(crate) async fn sign_in_to_stay(
        &self,
        key: &TestKey,
        passkey: &mut Authenticator,
    ) -> String {
        let options = self.sign_in_options(key).await;
        let request = self.passkey_token_request(key, &passkey.answer(&options));
        request.param("remember", "browser").send().await.is(200).text("access_token")
    }

    /// Options for another passkey of the account.
    pub(crate) async fn addition_options(&self, key: &TestKey, token: &str) -> Value {
        let request = self.resource_request(key, token, "POST", "/v1/passkeys/options/add");
        request.send().await.is(200).json()
    }

    /// A request for the options with which a passkey is to allow a request with `body`.
    pub(crate) fn step_up_options_request(
        &self,
        (key, token): (&TestKey, &str),
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Call {
        let hash = body.map(|body| hex::encode(&sha256(&[body.to_string().as_bytes()])));
        let operation = json!({ "method": method, "path": path, "body_sha256": hash });
        let options = "/v1/passkeys/options/step-up";
        let request = self.resource_request(key, token, "POST", options);
        request.json(&json!({ "operation": operation }))
    }

    /// The value of `Passkey-Assertion` for a request with `body`.
    pub(crate) async fn step_up(
        &self,
        session: (&TestKey, &str),
        passkey: &mut Authenticator,
        (method, path, body): (&str, &str, Option<&Value>),
    ) -> String {
        let request = self.step_up_options_request(session, method, path, body);
        passkey.answer(&request.send().await.is(200).json())
    }

    /// The value of `Passkey-Assertion` for a request with `body` that takes the place of the keyring of that
    /// revision, or of none.
    pub(crate) async fn step_up_to_replace(
        &self,
        session: (&TestKey, &str),
        passkey: &mut Authenticator,
        (path, body): (&str, &Value),
        replaced: Option<u64>,
    ) -> String {
        let (field, value) = match replaced {
            None => ("if_none_match", "*".to_owned()),
            Some(revision) => ("if_match", format!("\"{revision}\"")),
        };
        let hash = hex::encode(&sha256(&[body.to_string().as_bytes()]));
        let mut operation = json!({ "method": "PUT", "path": path, "body_sha256": hash });
        operation[field] = value.into();
        self.touch(session, passkey, &operation).await
    }

    /// The value of `Passkey-Assertion` for a request without a body for the keyring of that revision.
    pub(crate) async fn step_up_on_revision(
        &self,
        session: (&TestKey, &str),
        passkey: &mut Authenticator,
        (method, path): (&str, &str),
        revision: u64,
    ) -> String {
        let tag = format!("\"{revision}\"");
        let operation = json!({ "method": method, "path": path, "if_match": tag });
        self.touch(session, passkey, &operation).await
    }

    async fn touch(
        &self,
        (key, token): (&TestKey, &str),
        passkey: &mut Authenticator,
        operation: &Value,
    ) -> String {
        let options = "/v1/passkeys/options/step-up";
        let request = self.resource_request(key, token, "POST", options);
        let options = request.json(&json!({ "operation": operation })).send().await;
        passkey.answer(&options.is(200).json())
    }

    /// A request whose proof covers the body, with the word of a passkey.
    pub(crate) async fn stepped_up_request(
        &self,
        session: (&TestKey, &str),
        passkey: &mut Authenticator,
        (method, path, body): (&str, &str, &Value),
    ) -> Call {
        let assertion = self.step_up(session, passkey, (method, path, Some(body))).await;
        let request = self.covering_request(session, method, path, body);
        request.header("passkey-assertion", assertion)
    }
}
