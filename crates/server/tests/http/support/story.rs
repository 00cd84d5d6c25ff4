//! What clients do: register, log in, call. Each step comes as a request that a test can still
//! spoil, and as a shorthand that succeeds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use countersign_protocol::{digest::sha256, proofs::body_hash::sha256_hex, strict::base64url};
use serde_json::{Value, json};

use super::{Answer, Call, ISSUER, Jwt, TestApp, TestKey};

pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const JWT_BEARER_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A `jti` that no other test uses either.
fn jti() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("jti-{:08}", COUNT.fetch_add(1, Relaxed))
}

impl TestApp {
    /// A proof by `key` without a nonce.
    pub(crate) fn proof(&self, key: &TestKey, method: &str, path: &str) -> Jwt {
        key.jwt()
            .header("typ", "dpop+jwt")
            .header("jwk", key.jwk())
            .claim("jti", jti())
            .claim("htm", method)
            .claim("htu", format!("{ISSUER}{path}"))
            .claim("iat", self.now().as_secs())
    }

    /// A proof by `key` for the token endpoint.
    pub(crate) fn token_proof(&self, key: &TestKey) -> Jwt {
        self.proof(key, "POST", "/oauth/token").claim("nonce", self.token_nonce())
    }

    /// A proof by `key` for a protected resource, with `token`.
    pub(crate) fn resource_proof(
        &self,
        key: &TestKey,
        token: &str,
        method: &str,
        path: &str,
    ) -> Jwt {
        self.proof(key, method, path)
            .claim("ath", base64url::encode(&sha256(&[token.as_bytes()])))
            .claim("nonce", self.resource_nonce())
    }

    /// An assertion by `key` that it is `account`.
    pub(crate) fn assertion(&self, account: &str, key: &TestKey) -> Jwt {
        key.jwt()
            .claim("iss", account)
            .claim("sub", account)
            .claim("aud", ISSUER)
            .claim("exp", self.now().as_secs() + 60)
            .claim("jti", jti())
    }

    /// A registration.
    pub(crate) fn registration(&self, username: &str, key: &TestKey) -> Call {
        self.call("POST", "/v1/accounts")
            .json(&json!({ "username": username, "public_key": key.jwk() }))
            .dpop(&self.proof(key, "POST", "/v1/accounts").sign())
    }

    /// A registration with the code of an invitation.
    pub(crate) fn registration_with_code(&self, username: &str, key: &TestKey, code: &str) -> Call {
        let body = json!({ "username": username, "public_key": key.jwk(), "enrolment_code": code });
        self.registration(username, key).json(&body)
    }

    /// A request for an access token.
    pub(crate) fn token_request(&self, assertion: &str, proof: &str) -> Call {
        self.call("POST", "/oauth/token")
            .param("grant_type", JWT_BEARER)
            .param("assertion", assertion)
            .dpop(proof)
    }

    /// The usual request for an access token: one key asserts and proves.
    pub(crate) fn login_request(&self, account: &str, key: &TestKey) -> Call {
        let assertion = self.assertion(account, key).sign();
        self.token_request(&assertion, &self.token_proof(key).sign())
    }

    /// A request to a protected resource.
    pub(crate) fn resource_request(
        &self,
        key: &TestKey,
        token: &str,
        method: &str,
        path: &str,
    ) -> Call {
        let proof = self.resource_proof(key, token, method, path).sign();
        self.presenting(token, &proof, method, path)
    }

    /// A request to a protected resource with that very proof.
    pub(crate) fn presenting(&self, token: &str, proof: &str, method: &str, path: &str) -> Call {
        self.call(method, path).header("authorization", format!("DPoP {token}")).dpop(proof)
    }

    /// A request to an OAuth endpoint whose caller authenticates itself by `private_key_jwt`.
    pub(crate) fn client_request(&self, path: &str, account: &str, key: &TestKey) -> Call {
        self.call("POST", path)
            .param("client_assertion_type", JWT_BEARER_ASSERTION)
            .param("client_assertion", &self.assertion(account, key).sign())
    }

    /// Asks about `token` as `account`.
    pub(crate) async fn introspect(&self, account: &str, key: &TestKey, token: &str) -> Answer {
        self.client_request("/oauth/introspect", account, key).param("token", token).send().await
    }

    /// Registers, and returns the account's id.
    pub(crate) async fn register(&self, username: &str, key: &TestKey) -> String {
        let answer = self.registration(username, key).send().await;
        answer.is(201).text("account_id")
    }

    /// Logs in, and returns the token.
    pub(crate) async fn login(&self, account: &str, key: &TestKey) -> String {
        let answer = self.login_request(account, key).send().await;
        answer.is(200).text("access_token")
    }

    /// Registers and logs in, and returns the token.
    pub(crate) async fn enrol(&self, username: &str, key: &TestKey) -> String {
        self.register(username, key).await;
        self.login(username, key).await
    }

    /// Logs in with a session key that `key` vouches for.
    pub(crate) async fn login_with_session_key(
        &self,
        account: &str,
        key: &TestKey,
        session: &TestKey,
    ) -> String {
        let cnf = json!({ "jkt": session.thumbprint() });
        let assertion = self.assertion(account, key).claim("cnf", cnf).sign();
        let request = self.token_request(&assertion, &self.token_proof(session).sign());
        request.send().await.is(200).text("access_token")
    }

    /// Asks who one is.
    pub(crate) async fn whoami(&self, key: &TestKey, token: &str) -> Answer {
        self.resource_request(key, token, "GET", "/v1/whoami").send().await
    }

    /// A request to add a key, with its proof.
    pub(crate) fn key_addition(&self, key: &TestKey, token: &str, new: &TestKey) -> Call {
        let claims = Jwt::claims_of(token);
        let account = claims["sub"].as_str().unwrap();
        self.key_addition_saying(key, token, &self.new_key(account, new))
    }

    /// The body of a request to add a key to the account of that id or name.
    pub(crate) fn new_key(&self, account: &str, new: &TestKey) -> Value {
        json!({
            "public_key": new.jwk(),
            "new_key_proof": self.new_key_proof(account, new).sign(),
        })
    }

    /// A proof that the new key is to be added to that account.
    pub(crate) fn new_key_proof(&self, account: &str, new: &TestKey) -> Jwt {
        self.proof(new, "POST", "/v1/keys").claim("sub", account)
    }

    /// A request to add a key, with that body, which its proof covers.
    pub(crate) fn key_addition_saying(&self, key: &TestKey, token: &str, body: &Value) -> Call {
        self.covering_request((key, token), "POST", "/v1/keys", body)
    }

    /// A request to a protected resource whose proof covers the body too.
    pub(crate) fn covering_request(
        &self,
        (key, token): (&TestKey, &str),
        method: &str,
        path: &str,
        body: &Value,
    ) -> Call {
        let hash = sha256_hex(body.to_string().as_bytes());
        let proof = self.resource_proof(key, token, method, path).claim("tha", hash).sign();
        self.presenting(token, &proof, method, path).json(body)
    }

    /// Revokes a key of the account.
    pub(crate) async fn revoke_key(&self, key: &TestKey, token: &str, old: &TestKey) -> Answer {
        let path = format!("/v1/keys/{}", old.thumbprint());
        self.resource_request(key, token, "DELETE", &path).send().await
    }

    /// Ends a token, as whoever holds it.
    pub(crate) async fn revoke_token(&self, token: &str) -> Answer {
        self.call("POST", "/oauth/revoke").param("token", token).send().await
    }

    /// The names of one's own recorded events, newest first.
    pub(crate) async fn event_names(&self, key: &TestKey, token: &str) -> Vec<String> {
        self.write_trail().await;
        let answer = self.resource_request(key, token, "GET", "/v1/events").send().await;
        let events = answer.is(200).json()["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }
}
