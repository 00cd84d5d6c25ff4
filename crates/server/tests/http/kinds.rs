//! The kinds of credential: what a signature by each of them does. Whatever is refused here to browsers,
//! keys of the mutual login and passkeys is granted to a key, so that no refusal has another reason.

use countersign_authority::model::{
    audit::{AuditEvent, EventKind},
    credential::{BrowserLives, Credential, Remember},
    credential_kind::{
        Act,
        CredentialKind::{self, Browser, Key, Mutual, Passkey},
    },
};
use countersign_authority::ports::Permit;
use countersign_protocol::strict::base64;
use countersign_server::Dialects;
use countersign_testkit::{keys::ed25519_public, samples::KEY_LIMITS};
use serde_json::json;

use crate::support::{Answer, ISSUER, Setup, TestApp, TestKey};

const KINDS: [CredentialKind; 4] = CredentialKind::ALL;

/// An account `alice` with the key 1 and a second credential, 2, of some kind.
struct Alice {
    app: TestApp,
    first: TestKey,
    second: TestKey,
    kind: CredentialKind,
}

impl Alice {
    async fn with(kind: CredentialKind) -> Self {
        let all = |setup: &mut Setup| setup.settings.dialects = Dialects::default();
        let app = TestApp::start_with(all).await;
        let (first, second) = (TestKey::number(1), TestKey::number(2));
        let id = app.register("alice", &first).await.parse().unwrap();
        let label = "the second".parse().unwrap();
        let key = Credential::new(id, ed25519_public(2), label, app.now());
        let key = match kind {
            Key => key,
            Browser => key.in_browser(Remember::Browser, BrowserLives::default()),
            Mutual | Passkey => Credential { kind, ..key },
        };
        let key = Credential { added_by: Some(ed25519_public(1).thumbprint()), ..key };
        let event = AuditEvent::new(app.now(), EventKind::KeyAdded).account(id);
        app.ports()
            .store
            .add_credential(&key, KEY_LIMITS, event, Permit::ADMINISTRATOR)
            .await
            .unwrap();
        Self { app, first, second, kind }
    }

    /// A JWT of the second credential alone.
    async fn self_signed(&self) -> Answer {
        let now = self.app.now().as_secs();
        let jwt = self.second.jwt().claim("sub", "alice").claim("aud", ISSUER);
        let jwt = jwt.claim("iat", now).claim("exp", now + 60).claim("jti", "by itself").sign();
        let call = self.app.call("GET", "/v1/whoami");
        call.header("authorization", format!("Bearer {jwt}")).send().await
    }

    async fn signed_message(&self) -> Answer {
        let login = self.app.call("POST", "/login").json(&json!({ "user_id": "alice" }));
        let session = login.send().await.is(200).json();
        let text = |name: &str| session[name].as_str().unwrap();
        let signature = self.second.sign([text("nonce"), text("jwt")].concat().as_bytes());
        let message = json!({ "jwt": text("jwt"), "signed_message": base64::encode(&signature) });
        self.app.call("POST", "/protected").json(&message).send().await
    }

    async fn approval(&self, new: &TestKey) -> Answer {
        let approval = self.second.jwt().header("typ", "key-approval+jwt");
        let approval = approval
            .header("kid", self.second.thumbprint())
            .claim("aud", ISSUER)
            .claim("new_key", new.thumbprint())
            .claim("exp", self.app.now().as_secs() + 60)
            .claim("jti", "approval");
        let token = self.app.login("alice", &self.first).await;
        let mut body = self.app.new_key("alice", new);
        body["approval"] = approval.sign().into();
        let call = self.app.resource_request(&self.first, &token, "POST", "/v1/keys");
        call.json(&body).send().await
    }
}

#[tokio::test]
async fn keys_and_browsers_log_in_and_other_kinds_sign_no_assertion() {
    for kind in KINDS {
        let alice = Alice::with(kind).await;
        let answer = alice.app.login_request("alice", &alice.second).send().await;
        if !kind.may(Act::LogIn) {
            answer.is_oauth_error(400, "invalid_grant");
            assert!(answer.text("error_description").contains(kind.name()), "{}", answer.body);
            continue;
        }
        let token = answer.is(200).text("access_token");
        alice.app.whoami(&alice.second, &token).await.is(200);
    }
}

#[tokio::test]
async fn a_browser_vouches_for_no_other_key() {
    for kind in KINDS {
        let alice = Alice::with(kind).await;
        let session = TestKey::number(3);
        let cnf = json!({ "jkt": session.thumbprint() });
        let assertion = alice.app.assertion("alice", &alice.second).claim("cnf", cnf).sign();
        let proof = alice.app.token_proof(&session).sign();
        let answer = alice.app.token_request(&assertion, &proof).send().await;
        if kind == Key {
            answer.is(200);
        } else {
            answer.is_oauth_error(400, "invalid_grant");
        }
    }
}

#[tokio::test]
async fn a_browser_may_name_itself_in_cnf() {
    let alice = Alice::with(Browser).await;
    let cnf = json!({ "jkt": alice.second.thumbprint() });
    let assertion = alice.app.assertion("alice", &alice.second).claim("cnf", cnf).sign();
    let proof = alice.app.token_proof(&alice.second).sign();
    alice.app.token_request(&assertion, &proof).send().await.is(200);
}

#[tokio::test]
async fn a_browser_authenticates_no_client() {
    for kind in KINDS {
        let alice = Alice::with(kind).await;
        let token = alice.app.login("alice", &alice.first).await;
        let asked = alice.app.introspect("alice", &alice.second, &token).await;
        let assertion = alice.app.assertion("alice", &alice.second).claim("jti", "client").sign();
        let login = alice.app.login_request("alice", &alice.first);
        let login = login.param("client_assertion", &assertion);
        let login = login.param(
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        );
        let login = login.send().await;
        if kind == Key {
            asked.is(200);
            login.is(200);
        } else {
            asked.is_oauth_error(401, "invalid_client");
            login.is_oauth_error(401, "invalid_client");
        }
    }
}

#[tokio::test]
async fn a_browser_approves_of_no_key() {
    for kind in KINDS {
        let alice = Alice::with(kind).await;
        let answer = alice.approval(&TestKey::number(4)).await;
        if kind == Key {
            answer.is(201);
        } else {
            answer.is_problem(400, "invalid-proof");
            let detail = answer.text("detail");
            assert!(detail.contains(&format!("the kind {kind} may not approve")), "{detail}");
        }
    }
}

#[tokio::test]
async fn what_a_browser_signs_by_itself_counts_for_nothing() {
    for kind in KINDS {
        let alice = Alice::with(kind).await;
        let expected = if kind == Key { 200 } else { 401 };
        assert_eq!(alice.self_signed().await.status, expected, "{kind}: self-signed JWT");
        let message = alice.signed_message().await;
        assert_eq!(message.status == 200, kind == Key, "{kind}: signed message: {}", message.body);
    }
}

#[tokio::test]
async fn the_jwk_set_of_an_account_lists_keys_alone() {
    for kind in KINDS {
        let alice = Alice::with(kind).await;
        let listed = alice.app.call("GET", "/v1/accounts/alice/jwks.json").send().await;
        let listed = listed.is(200).json()["keys"].as_array().unwrap().len();
        assert_eq!(listed, if kind == Key { 2 } else { 1 }, "{kind}");
    }
}

#[tokio::test]
async fn every_kind_is_listed_renamed_and_revoked_by_a_key() {
    for kind in KINDS {
        let alice = Alice::with(kind).await;
        let token = alice.app.login("alice", &alice.first).await;
        let path = format!("/v1/keys/{}", alice.second.thumbprint());
        let signer = (&alice.first, token.as_str());
        let label = json!({ "label": "renamed" });
        let renamed = alice.app.covering_request(signer, "PATCH", &path, &label).send().await;
        let renamed = renamed.is(200).json();
        assert_eq!((&renamed["kind"], &renamed["label"]), (&kind.name().into(), &"renamed".into()));
        alice.app.revoke_key(&alice.first, &token, &alice.second).await.is(204);
        let keys = alice.app.resource_request(&alice.first, &token, "GET", "/v1/keys").send().await;
        let keys = keys.is(200).json()["keys"].clone();
        assert_eq!(keys[1]["kind"], alice.kind.name());
        assert!(keys[1]["revoked_at"].is_u64(), "{keys}");
    }
}

#[tokio::test]
async fn nobody_registers_or_adds_the_key_of_a_browser_again() {
    for kind in [Browser, Mutual, Passkey] {
        let alice = Alice::with(kind).await;
        let registration = alice.app.registration("mallory", &alice.second).send().await;
        registration.is_problem(409, "key-taken");
        let token = alice.app.login("alice", &alice.first).await;
        let again = alice.app.key_addition(&alice.first, &token, &alice.second).send().await;
        again.is_problem(409, "key-taken");
        let unproven = json!({ "user_id": "mallory", "public_key": alice.second.spki_base64() });
        let unproven = alice.app.call("POST", "/register").json(&unproven).send().await;
        assert_ne!(unproven.status, 200, "signjwt: {}", unproven.body);
    }
}
