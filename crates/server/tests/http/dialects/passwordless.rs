//! *passwordless*.

use countersign_authority::ports::Permit;
use std::{ops::Deref, sync::Arc, time::Duration};

use countersign_authority::{
    keys::{rekey::Rekey, vault::MasterKey},
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind},
        credential::Credential,
        credential_kind::{Act, CredentialKind},
        policy::{Enrolment, Policy},
    },
};
use countersign_protocol::{
    keys::{
        KeyPolicy, PrivateKey, PublicKey,
        raw_rsa::{self, RawRsaPrivateKey},
    },
    strict::base64,
};
use countersign_testkit::{keys, samples::KEY_LIMITS};
use http::StatusCode;
use serde_json::{Value, json};

use super::server::{Answer, ISSUER, Server};
use crate::support::{MASTER_KEY, TestApp, TestKey};

const OTHER_MASTER_KEY: &str = "the second passphrase";
const ELSEWHERE: &str = "192.0.2.2";

/// A server that proves itself.
struct MutualServer(Server);

impl Deref for MutualServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl MutualServer {
    async fn start(change: impl FnOnce(&mut Policy)) -> Self {
        Self(Server::start_with(change).await)
    }

    async fn register(&self, name: &str, key: PrivateKey) -> User {
        let spki = base64::encode(&key.public_key().to_spki_der());
        let body = json!({ "username": name, "clientSidePublicKey": spki });
        let Answer { status, body, .. } = self.post("/register", body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        User::of(&body, key)
    }

    async fn number(&self, user: &User) -> Vec<u8> {
        let Answer { status, body, .. } = self.get(&format!("/challenge/{}", user.id)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let challenge = base64::decode(body["challenge"].as_str().unwrap()).unwrap();
        raw_rsa::recover(&user.server_key, &challenge).unwrap().to_vec()
    }

    async fn authenticate(&self, user: &User, proposal: &[u8]) -> StatusCode {
        let path = format!("/authenticate/{}", user.id);
        self.post(&path, json!({ "proposal": base64::encode(proposal) })).await.status
    }
}

struct User {
    id: String,
    key: PrivateKey,
    server_key: PublicKey,
}

impl User {
    /// Who has registered `key` and got this answer.
    fn of(registered: &Value, key: PrivateKey) -> Self {
        let server_key = registered["serverSidePublicKey"].as_str().unwrap();
        Self {
            id: registered["id"].as_str().unwrap().to_owned(),
            key,
            server_key: PublicKey::parse(server_key, &KeyPolicy::default()).unwrap(),
        }
    }

    /// The number in the raw form.
    fn propose(&self, number: &[u8]) -> Vec<u8> {
        let raw = RawRsaPrivateKey::from_pkcs8_der(&self.key.to_pkcs8_der()).unwrap();
        raw.encrypt(number).unwrap()
    }

    /// A signature of the number.
    fn sign(&self, number: &[u8]) -> Vec<u8> {
        self.key.sign(self.key.algorithm(), number).unwrap()
    }
}

fn rsa() -> PrivateKey {
    keys::from_pem(keys::RSA_2048_PEM)
}

#[tokio::test]
async fn a_number_works_for_a_minute() {
    let server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let bob = server.register("bob", keys::ed25519(1)).await;
    for (age, expected) in [(59_999, StatusCode::OK), (60_000, StatusCode::UNAUTHORIZED)] {
        let (raw, hashed) = (server.number(&alice).await, server.number(&bob).await);
        server.advance(Duration::from_millis(age));
        assert_eq!(server.authenticate(&alice, &alice.propose(&raw)).await, expected);
        assert_eq!(server.authenticate(&bob, &bob.sign(&hashed)).await, expected);
    }
}

#[tokio::test]
async fn no_number_outlives_the_memory_of_used_proofs() {
    let server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let bob = server.register("bob", keys::ed25519(1)).await;
    let proposals = async || {
        let raw = alice.propose(&server.number(&alice).await);
        [(&alice, raw), (&bob, bob.sign(&server.number(&bob).await))]
    };
    let (used, unused) = (proposals().await, proposals().await);
    for (user, proposal) in &used {
        assert_eq!(server.authenticate(user, proposal).await, StatusCode::OK);
    }
    server.forget_used_proofs();
    for (user, proposal) in used.iter().chain(&unused) {
        assert_eq!(server.authenticate(user, proposal).await, StatusCode::UNAUTHORIZED);
    }
    for (user, proposal) in &proposals().await {
        assert_eq!(server.authenticate(user, proposal).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn browsers_and_passkeys_answer_no_challenge() {
    for kind in CredentialKind::ALL {
        let server = MutualServer::start(|_| ()).await;
        let alice = server.register("alice", rsa()).await;
        let number = server.number(&alice).await;
        assert_eq!(server.authenticate(&alice, &alice.propose(&number)).await, StatusCode::OK);
        let (id, now) = (alice.id.parse().unwrap(), server.authority().core.now());
        let key = keys::from_pem(keys::OTHER_RSA_2048_PEM);
        let label = "the second".parse().unwrap();
        let second = Credential {
            kind,
            added_by: Some(alice.key.public_key().thumbprint()),
            ..Credential::new(id, key.public_key().clone(), label, now)
        };
        let event = AuditEvent::new(now, EventKind::KeyAdded);
        server
            .ports()
            .store
            .add_credential(&second, KEY_LIMITS, event, Permit::ADMINISTRATOR)
            .await
            .unwrap();
        let other = User { key, ..alice };
        let expected =
            if kind.may(Act::LogInMutually) { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        let raw = other.propose(&server.number(&other).await);
        assert_eq!(server.authenticate(&other, &raw).await, expected, "{kind}, raw");
        let hashed = other.sign(&server.number(&other).await);
        assert_eq!(server.authenticate(&other, &hashed).await, expected, "{kind}, hashed");
    }
}

/// A page keeps the key where a stranger's script reaches it, so that it is good for this login alone.
#[tokio::test]
async fn the_key_of_a_page_logs_in_mutually_and_does_nothing_that_lasts() {
    let server = MutualServer::start(|_| ()).await;
    let (private, key) = (keys::ed25519(1), TestKey::number(1));
    let spki = base64::encode(&private.public_key().to_spki_der());
    let body = json!({ "username": "alice", "clientSidePublicKey": spki, "kind": "mutual" });
    let alice = server.post("/register", body).await;
    assert_eq!(alice.status, StatusCode::OK, "{}", alice.body);
    let alice = User::of(&alice.body, private);
    let app = &server.0.0;
    // While the key is only claimed, and when it has proven itself.
    for round in ["first", "second"] {
        app.login_request("alice", &key).send().await.is_oauth_error(400, "invalid_grant");
        let proposal = base64::encode(&alice.sign(&server.number(&alice).await));
        let path = format!("/authenticate/{}", alice.id);
        let answer = server.post(&path, json!({ "proposal": proposal })).await;
        let token = answer.body["jwtToken"].as_str().expect(round).to_owned();
        app.whoami(&key, &token).await.is(200);
        let listed = app.resource_request(&key, &token, "GET", "/v1/keys").send().await;
        assert_eq!(listed.is(200).json()["keys"][0]["kind"], "mutual");
        let added = app.key_addition(&key, &token, &TestKey::number(2)).send().await;
        assert_eq!(added.is_problem(403, "step-up-needed").json()["lack"], "mutual-key");
        assert_eq!(self_signed(app, &key, round).await.status, 401);
        let jwks = server.get("/v1/accounts/alice/jwks.json").await;
        assert_eq!(jwks.body["keys"], json!([]));
        let logout = server.call("POST", "/logout");
        logout.header("authorization", format!("Bearer {token}")).send().await.is(200);
        assert_eq!(app.whoami(&key, &token).await.status, 401);
    }
}

/// A JWT of Alice's key alone.
async fn self_signed(app: &TestApp, key: &TestKey, jti: &str) -> crate::support::Answer {
    let now = app.now().as_secs();
    let jwt = key.jwt().claim("sub", "alice").claim("aud", ISSUER).claim("iat", now);
    let jwt = jwt.claim("exp", now + 60).claim("jti", jti).sign();
    app.call("GET", "/v1/whoami").header("authorization", format!("Bearer {jwt}")).send().await
}

#[tokio::test]
async fn a_registration_says_where_the_key_is_or_nothing() {
    let server = MutualServer::start(|_| ()).await;
    let kinds = [
        ("key", StatusCode::OK),
        ("mutual", StatusCode::OK),
        ("browser", StatusCode::BAD_REQUEST),
        ("passkey", StatusCode::BAD_REQUEST),
        ("stick", StatusCode::BAD_REQUEST),
    ];
    for ((kind, expected), number) in kinds.into_iter().zip(1..) {
        let spki = base64::encode(&keys::ed25519(number).public_key().to_spki_der());
        let body = json!({ "username": kind, "clientSidePublicKey": spki, "kind": kind });
        let answer = server.post("/register", body).await;
        assert_eq!(answer.status, expected, "{kind}: {}", answer.body);
        let detail = answer.body["detail"].as_str().unwrap_or("kind");
        assert!(detail.contains("kind"), "{detail}");
    }
    // A key that the body says nothing about is its owner's for everything, as it always was.
    server.register("alice", keys::ed25519(9)).await;
    server.0.0.login("alice", &TestKey::number(9)).await;
}

#[tokio::test]
async fn its_tokens_live_as_long_as_all_others() {
    let lifetime = Duration::from_mins(1);
    let server = MutualServer::start(|policy| policy.tokens.lifetime = lifetime).await;
    let alice = server.register("alice", rsa()).await;
    let proposal = alice.propose(&server.number(&alice).await);
    let path = format!("/authenticate/{}", alice.id);
    let answer = server.post(&path, json!({ "proposal": base64::encode(&proposal) })).await;
    let token = answer.body["jwtToken"].as_str().unwrap();
    let claims = crate::support::Jwt::claims_of(token);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
}

#[tokio::test]
async fn broken_lines_do_a_proposal_no_harm_and_base64url_is_named() {
    let server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let proposal = base64::encode(&alice.propose(&server.number(&alice).await));
    let path = format!("/authenticate/{}", alice.id);
    let refused = server.post(&path, json!({ "proposal": "_-8" })).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("proposal is base64url, and not base64"), "{detail}");
    let broken = format!("{}\r\n{}\n", &proposal[..76], &proposal[76..]);
    assert_eq!(server.post(&path, json!({ "proposal": broken })).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_hash_is_signed_where_the_challenge_was_asked_for() {
    let server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let path = format!("/authenticate/{}", alice.id);
    let number = server.number(&alice).await;
    for (proposal, expected) in
        [(alice.sign(&number), StatusCode::UNAUTHORIZED), (alice.propose(&number), StatusCode::OK)]
    {
        let body = json!({ "proposal": base64::encode(&proposal) });
        server.call("POST", &path).peer(ELSEWHERE).json(&body).send().await.is(expected.as_u16());
    }
}

#[tokio::test]
async fn nobody_elsewhere_pushes_a_number_out() {
    let server = MutualServer::start(|_| ()).await;
    let bob = server.register("bob", keys::ed25519(1)).await;
    let number = server.number(&bob).await;
    for _ in 0..50 {
        let path = format!("/challenge/{}", bob.id);
        server.call("GET", &path).peer(ELSEWHERE).send().await.is(200);
    }
    assert_eq!(server.authenticate(&bob, &bob.sign(&number)).await, StatusCode::OK);
}

#[tokio::test]
async fn a_disabled_account_is_refused_until_it_is_enabled() {
    let server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    server.set_status("alice", AccountStatus::Disabled).await;
    let number = server.number(&alice).await;
    let refused = server.authenticate(&alice, &alice.propose(&number)).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert!(server.trail().await.contains(&EventKind::LoginRefused));
    server.set_status("alice", AccountStatus::Active).await;
    assert_eq!(server.authenticate(&alice, &alice.propose(&number)).await, StatusCode::OK);
}

#[tokio::test]
async fn the_trail_tells_the_story() {
    let server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let proposal = alice.propose(&server.number(&alice).await);
    assert_eq!(server.authenticate(&alice, &proposal).await, StatusCode::OK);
    assert_eq!(server.authenticate(&alice, &proposal).await, StatusCode::UNAUTHORIZED);
    assert_eq!(server.authenticate(&alice, &[0; 256]).await, StatusCode::UNAUTHORIZED);
    let trail = server.trail().await;
    let expected =
        [EventKind::AccountRegistered, EventKind::LoginSucceeded, EventKind::ProofReplayed];
    assert!(trail.ends_with(&expected), "{trail:?}");
}

#[tokio::test]
async fn a_closed_server_registers_nobody() {
    for (enrolment, key) in [(Enrolment::Closed, 1), (Enrolment::Invited, 2)] {
        let server = MutualServer::start(|policy| policy.enrolment = enrolment).await;
        let spki = base64::encode(&keys::ed25519_public(key).to_spki_der());
        let body = json!({ "username": "alice", "clientSidePublicKey": spki });
        assert_eq!(server.post("/register", body).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn every_door_has_its_limit() {
    let server = MutualServer::start(|policy| {
        let limits = policy.limits.as_mut().unwrap();
        limits.logins.burst = 3;
        limits.registrations.burst = 1;
    })
    .await;
    let alice = server.register("alice", keys::ed25519(1)).await;
    let body = json!({ "username": "bob", "clientSidePublicKey": "x" });
    let limited = server.post("/register", body).await.status;
    assert_eq!(limited, StatusCode::TOO_MANY_REQUESTS);
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]
    {
        assert_eq!(server.get("/challenge/nobody").await.status, expected);
    }
    let limited = server.authenticate(&alice, &[1]).await;
    assert_eq!(limited, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_register_at_once_though_no_key_pair_is_ready() {
    let server = Arc::new(MutualServer::start(|_| ()).await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..10 {
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            let name = format!("user-{number}");
            server.register(&name, keys::ed25519(number)).await.server_key.thumbprint()
        });
    }
    let mut server_keys = tasks.join_all().await;
    server_keys.sort();
    server_keys.dedup();
    assert_eq!(server_keys.len(), 10);
}

#[tokio::test]
async fn a_new_master_key_keeps_the_servers_key_pairs() {
    let mut server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let number = server.number(&alice).await;
    let ports = server.ports();
    let [old, new] = [MASTER_KEY, OTHER_MASTER_KEY].map(|key| MasterKey::parse(key).unwrap());
    let now = server.authority().core.now();
    let rekey =
        Rekey { vaults: &*ports.store, signing_keys: &*ports.store, now, random: &*ports.random };
    rekey.change_master_key(&old, &new).await.unwrap();
    server.0.0.restart_with(|setup| setup.master_key = OTHER_MASTER_KEY).await;
    // What was handed out before the start is not recognised after it.
    let refused = server.authenticate(&alice, &alice.propose(&number)).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    let number = server.number(&alice).await;
    assert_eq!(server.authenticate(&alice, &alice.propose(&number)).await, StatusCode::OK);
}

#[tokio::test]
async fn challenges_for_nobody_are_spread_like_those_for_somebody() {
    let server = MutualServer::start(|policy| policy.limits = None).await;
    let challenge = async |name: &str| {
        let answer = server.get(&format!("/challenge/{name}")).await;
        base64::decode(answer.body["challenge"].as_str().unwrap()).unwrap()
    };
    // A modulus has its highest bit set, and blocks reach up to it and no further.
    for name in ["nobody", "no-one"] {
        let mut largest = 0;
        for _ in 0..200 {
            let block = challenge(name).await;
            assert_eq!(block.len(), 256);
            largest = largest.max(block[0]);
        }
        assert!(largest >= 0x78, "{largest}");
    }
}

#[tokio::test]
async fn a_number_that_is_sent_along_depends_on_nobody() {
    let server = MutualServer::start(|_| ()).await;
    let bob = server.register("bob", keys::ed25519(1)).await;
    let number = server.number(&bob).await;
    for _ in 0..8 {
        server.number(&bob).await;
    }
    let proposal = base64::encode(&bob.sign(&number));
    let path = format!("/authenticate/{}", bob.id);
    let spoilt = server.post(&path, json!({ "proposal": proposal })).await;
    assert_eq!(spoilt.status, StatusCode::UNAUTHORIZED, "others behind the address asked since");
    let digits = String::from_utf8(number).unwrap();
    for wrong in [json!(7), json!(["1"])] {
        let body = json!({ "proposal": proposal, "number": wrong });
        assert_eq!(server.post(&path, body).await.status, StatusCode::BAD_REQUEST);
    }
    let other = digits.replace('7', "8");
    for wrong in ["", "1", &other] {
        let body = json!({ "proposal": proposal, "number": wrong });
        assert_eq!(server.post(&path, body).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let body = json!({ "proposal": proposal, "number": digits });
    server.call("POST", &path).peer(ELSEWHERE).json(&body).send().await.is(200);
    let again = server.post(&path, body).await.status;
    assert_eq!(again, StatusCode::UNAUTHORIZED, "it works once");
}

#[tokio::test]
async fn revoked_keys_are_not_compared_with() {
    let server = MutualServer::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let thumbprint = alice.key.public_key().thumbprint();
    let number = server.number(&alice).await;
    assert_eq!(server.authenticate(&alice, &alice.propose(&number)).await, StatusCode::OK);
    server.admin().revoke_key(&"alice".parse().unwrap(), &thumbprint).await.unwrap();
    server.0.0.notice_changes().await;
    let number = server.number(&alice).await;
    let refused = server.authenticate(&alice, &alice.propose(&number)).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_account_without_a_server_key_looks_the_same_by_id_and_by_name() {
    let server = MutualServer::start(|policy| policy.limits = None).await;
    server.0.register("carol", &keys::ed25519(1)).await;
    let account = server.admin().account(&"carol".parse().unwrap()).await.unwrap();
    // The largest of many blocks comes close to the modulus that they pretend to have.
    let largest = async |name: &str| {
        let mut largest = 0;
        for _ in 0..300 {
            let answer = server.get(&format!("/challenge/{name}")).await;
            let block = base64::decode(answer.body["challenge"].as_str().unwrap()).unwrap();
            largest = largest.max(u32::from_be_bytes(*block.first_chunk().unwrap()));
        }
        f64::from(largest)
    };
    let by_name = largest("carol").await;
    let by_id = largest(&account.id.to_string()).await;
    assert!((by_name / by_id - 1.0).abs() < 0.04, "{by_name} {by_id}");
}
