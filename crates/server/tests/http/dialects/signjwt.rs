//! *signjwt*.

use std::{sync::Arc, time::Duration};

use countersign_authority::{
    dialects::signjwt::{SessionError, SignedMessage},
    model::{
        account::AccountStatus,
        audit::{AuditFilter, EventKind},
        policy::Enrolment,
    },
    ports::{AskedRevocations, RevokedTokenList},
};
use countersign_protocol::{
    UnixTime,
    keys::{Algorithm, PrivateKey},
    strict::base64,
};
use countersign_testkit::keys::{self, ed25519};
use http::StatusCode;
use serde_json::{Value, json};

use super::server::{Answer, Server};

const SECOND: Duration = Duration::from_secs(1);

/// A session and the key that signs its requests.
struct Session {
    key: PrivateKey,
    algorithm: Algorithm,
    jwt: String,
    nonce: String,
}

impl Session {
    async fn open(server: &Server, name: &str, key: PrivateKey) -> Self {
        let answer = server.post("/login", json!({ "user_id": name })).await;
        assert_eq!(answer.status, StatusCode::OK);
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        let algorithm = match key.algorithm() {
            Algorithm::Rs256 => Algorithm::Ps256,
            other => other,
        };
        Self { key, algorithm, jwt: text("jwt"), nonce: text("nonce") }
    }

    /// Of a user who registers first.
    async fn of_new_user(server: &Server) -> Self {
        assert_eq!(server.register("alice", &ed25519(1)).await.status, StatusCode::OK);
        Self::open(server, "alice", ed25519(1)).await
    }

    fn message(&self) -> Value {
        let message = format!("{}{}", self.nonce, self.jwt);
        let signature = self.key.sign(self.algorithm, message.as_bytes()).unwrap();
        json!({ "jwt": self.jwt, "signed_message": base64::encode(&signature) })
    }

    async fn protected(&mut self, server: &Server) -> StatusCode {
        let answer = server.post("/protected", self.message()).await;
        if let Some(nonce) = answer.body["nonce"].as_str() {
            nonce.clone_into(&mut self.nonce);
        }
        answer.status
    }

    async fn whoami(&mut self, server: &Server) -> Answer {
        let message = self.message();
        let authorization = format!("SignJWT {}", self.jwt);
        let signature = message["signed_message"].as_str().unwrap();
        let headers = [("authorization", authorization.as_str()), ("signed-message", signature)];
        let answer = server.send("GET", "/v1/whoami", &headers, String::new()).await;
        if let Some(nonce) = answer.header("signjwt-nonce") {
            nonce.clone_into(&mut self.nonce);
        }
        answer
    }
}

#[tokio::test]
async fn every_kind_of_key_signs() {
    let server = Server::start().await;
    for (number, key) in keys::one_of_each_kind().into_iter().enumerate() {
        let name = format!("user{number}");
        assert_eq!(server.register(&name, &key).await.status, StatusCode::OK);
        let mut session = Session::open(&server, &name, key).await;
        assert_eq!(session.protected(&server).await, StatusCode::OK);
        assert_eq!(session.whoami(&server).await.body["username"], name);
        assert_eq!(session.protected(&server).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn broken_lines_do_a_signature_no_harm_and_base64url_is_named() {
    let server = Server::start().await;
    let session = Session::of_new_user(&server).await;
    let mut message = session.message();
    let text = message["signed_message"].as_str().unwrap().to_owned();
    message["signed_message"] = json!("_-8");
    let refused = server.post("/protected", message.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("signed_message is base64url, and not base64"), "{detail}");
    message["signed_message"] = json!(format!("{}\n{}\r\n", &text[..64], &text[64..]));
    assert_eq!(server.post("/protected", message).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_nonce_lives_for_thirty_seconds() {
    let server = Server::start().await;
    let mut session = Session::of_new_user(&server).await;
    server.advance(Duration::from_millis(29_999));
    assert_eq!(session.protected(&server).await, StatusCode::OK);
    server.advance(30 * SECOND);
    assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_session_lives_for_thirty_minutes_however_busy_it_is() {
    let server = Server::start().await;
    let mut session = Session::of_new_user(&server).await;
    for _ in 0..(30 * 60 / 20 - 1) {
        server.advance(20 * SECOND);
        assert_eq!(session.protected(&server).await, StatusCode::OK);
    }
    server.advance(20 * SECOND);
    assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
    assert_eq!(session.whoami(&server).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_uses_at_once_one_succeeds() {
    let server = Arc::new(Server::start().await);
    let mut session = Session::of_new_user(&server).await;
    for _ in 0..5 {
        let message = session.message();
        let attempts: Vec<_> = (0..20)
            .map(|_| {
                let (server, message) = (Arc::clone(&server), message.clone());
                tokio::spawn(async move { server.post("/protected", message).await })
            })
            .collect();
        let mut nonces = Vec::new();
        for attempt in attempts {
            let answer = attempt.await.unwrap();
            match answer.body["nonce"].as_str() {
                Some(nonce) => nonces.push(nonce.to_owned()),
                None => assert_eq!(answer.status, StatusCode::FORBIDDEN),
            }
        }
        assert_eq!(nonces.len(), 1);
        session.nonce.clone_from(&nonces[0]);
    }
}

#[tokio::test]
async fn nothing_survives_a_restart() {
    let mut server = Server::start().await;
    let mut session = Session::of_new_user(&server).await;
    server.restart().await;
    assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
    let mut session = Session::open(&server, "alice", ed25519(1)).await;
    assert_eq!(session.protected(&server).await, StatusCode::OK);
}

/// Whether somebody has signed in it or nobody yet.
#[tokio::test]
async fn no_session_outlives_the_memory_of_used_proofs() {
    let server = Server::start().await;
    let mut used = Session::of_new_user(&server).await;
    let mut unused = Session::open(&server, "alice", ed25519(1)).await;
    assert_eq!(used.protected(&server).await, StatusCode::OK);
    server.forget_used_proofs();
    for session in [&mut used, &mut unused] {
        assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
        assert_eq!(session.whoami(&server).await.status, StatusCode::UNAUTHORIZED);
    }
    let mut session = Session::open(&server, "alice", ed25519(1)).await;
    for _ in 0..3 {
        assert_eq!(session.protected(&server).await, StatusCode::OK);
        assert_eq!(session.whoami(&server).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_message_that_is_under_way_while_the_log_forgets_is_refused() {
    let server = Server::start().await;
    let session = Session::of_new_user(&server).await;
    let (signjwt, now) = (&server.authority().dialects.signjwt, server.0.now());
    let message = session.message();
    let signature = base64::decode(message["signed_message"].as_str().unwrap()).unwrap();
    let message = SignedMessage { jwt: &session.jwt, signature: &signature };
    let checked = signjwt.check_message(message, now).await.unwrap();
    server.forget_used_proofs();
    let refused = signjwt.redeem_message(&checked, None, now).await;
    assert!(matches!(refused, Err(SessionError::Refused)), "{refused:?}");
}

#[tokio::test]
async fn a_session_that_is_under_way_is_nobody_elses() {
    let server = Server::start().await;
    let mut session = Session::of_new_user(&server).await;
    assert_eq!(session.protected(&server).await, StatusCode::OK);
    let key = std::mem::replace(&mut session.key, ed25519(9));
    assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
    session.key = key;
    assert_eq!(session.protected(&server).await, StatusCode::OK, "the nonce was not used up");
}

#[tokio::test]
async fn disabling_the_account_ends_its_sessions() {
    let server = Server::start().await;
    let mut session = Session::of_new_user(&server).await;
    assert_eq!(session.protected(&server).await, StatusCode::OK);
    server.set_status("alice", AccountStatus::Disabled).await;
    assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_first_request_is_the_login_and_the_trail_says_so() {
    let server = Server::start().await;
    let mut session = Session::of_new_user(&server).await;
    assert_eq!(server.events(EventKind::LoginSucceeded).await, 0, "a session proves nothing");
    for _ in 0..3 {
        assert_eq!(session.protected(&server).await, StatusCode::OK);
    }
    assert_eq!(server.events(EventKind::LoginSucceeded).await, 1);
    let audit = &server.ports().store;
    let logins = AuditFilter { kinds: vec![EventKind::LoginSucceeded], ..AuditFilter::default() };
    let login = audit.events(&logins, 1).await.unwrap().remove(0).event;
    assert!(login.address.is_some(), "it says from where: {login:?}");
    assert_eq!(session.whoami(&server).await.status, StatusCode::OK);
    let uses = server.key_uses().await;
    assert_eq!((uses.len(), uses[0].times()), (1, 4), "{uses:?}");
    assert_eq!((uses[0].address, uses[0].detail.as_deref()), (login.address, Some("signjwt")));
    let answer = server.post("/logout", session.message()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(server.events(EventKind::TokenRevoked).await, 1);
    assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn sessions_that_ended_are_nothing_that_anybody_must_remember_or_be_told() {
    let server = Server::start_with(|policy| policy.limits = None).await;
    let mut session = Session::of_new_user(&server).await;
    let (since, now) = (UnixTime::EPOCH, UnixTime::EPOCH);
    let all = AskedRevocations { since, limit: 1, now, after: 0, token_limit: 100 };
    let before = server.ports().store.revocations(all).await;
    for _ in 0..50 {
        assert_eq!(session.protected(&server).await, StatusCode::OK);
        assert_eq!(server.post("/logout", session.message()).await.status, StatusCode::OK);
        assert_eq!(session.protected(&server).await, StatusCode::FORBIDDEN);
        session = Session::open(&server, "alice", ed25519(1)).await;
    }
    let revocations = &server.ports().store;
    let after = revocations.revocations(all).await.unwrap();
    assert_eq!(after.tokens, RevokedTokenList::default());
    assert_eq!(after, before.unwrap());
}

#[tokio::test]
async fn a_session_without_a_signature_is_not_said_to_be_revoked() {
    let server = Server::start().await;
    let session = Session::of_new_user(&server).await;
    let jwt = session.message()["jwt"].as_str().unwrap().to_owned();
    let answer = server.0.call("POST", "/oauth/revoke").param("token", &jwt).send().await;
    answer.is_oauth_error(400, "unsupported_token_type");
    let bearer = format!("Bearer {jwt}");
    let answer = server.0.call("POST", "/logout").header("authorization", bearer).send().await;
    answer.is(400);
}

#[tokio::test]
async fn a_key_can_be_claimed_by_many_until_one_has_signed() {
    let server = Server::start().await;
    let mut session = Session::of_new_user(&server).await;
    assert_eq!(server.register("mallory", &ed25519(1)).await.status, StatusCode::OK);
    assert_eq!(session.protected(&server).await, StatusCode::OK);
    assert_eq!(server.register("trudy", &ed25519(1)).await.status, StatusCode::CONFLICT);
    let core = &server.authority().core;
    let known = core.signers("alice", None, core.now()).await.unwrap();
    assert_eq!(known[0].credential.last_used_at, Some(server.authority().core.now()));
}

#[tokio::test]
async fn the_rule_of_enrolment_holds() {
    for enrolment in [Enrolment::Closed, Enrolment::Invited] {
        let server = Server::start_with(|policy| policy.enrolment = enrolment).await;
        let answer = server.register("alice", &ed25519(1)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        let kind = countersign_protocol::problem::type_uri("enrolment-closed");
        assert_eq!(answer.body["type"], kind);
    }
}

#[tokio::test]
async fn a_flood_of_logins_neither_blocks_nor_grows() {
    let server = Server::start_with(|policy| policy.limits = None).await;
    let mut old = Session::of_new_user(&server).await;
    for number in 0..3_000 {
        if number % 50 == 0 {
            assert_eq!(old.protected(&server).await, StatusCode::OK, "{number}");
            server.advance(SECOND);
        }
        let name = format!("user{number}");
        let login = server.call("POST", "/login").peer("198.51.100.66");
        login.json(&json!({ "user_id": name })).send().await;
    }
    let mut new = Session::open(&server, "alice", ed25519(1)).await;
    assert_eq!(new.protected(&server).await, StatusCode::OK);
}
