//! Signatures over nonce and session, as the guard reads them; the authority verifies them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use countersign_guard::{
    Guard, GuardLayer, GuardPolicy, GuardPorts, Proofs, Refusal, SignedMessageError,
    ports::{CheckedMessage, MessageError, PortUnavailable, Sessions, SignedMessage},
};
use countersign_protocol::{
    Coverage, Principal, ProofKind, ProvenKey, UnixTime, proofs::target_uri::TargetUri,
    strict::base64,
};
use countersign_testkit::{
    clock::FixedClock,
    keys::ed25519,
    samples::{NOW, account_id, scopes},
};
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::world::{
    AUDIENCE, FakeIssuerKeys, FakeReplayLog, FakeStanding, ISSUER, PATH, nonces, request,
};

/// Accepts the session `session` with the signature `signature`, once.
#[derive(Default)]
struct FakeSessions(Arc<AtomicUsize>);

struct Checked(Arc<AtomicUsize>, Principal);

#[async_trait]
impl Sessions for FakeSessions {
    async fn check(
        &self,
        message: SignedMessage<'_>,
        _now: UnixTime,
    ) -> Result<Box<dyn CheckedMessage>, MessageError> {
        match (message.jwt, message.signature) {
            ("session", b"signature") => {
                let key = ed25519(2).public_key().thumbprint();
                let principal = Principal {
                    account_id: account_id(1),
                    username: Some("alice".parse().unwrap()),
                    key: Some(ProvenKey::of(key)),
                    proof: ProofKind::SignedMessage,
                    token_id: Some("session 1".to_owned()),
                    scopes: scopes("read"),
                    narrowed: false,
                    covers: Coverage::NOTHING,
                    authentication: None,
                    issued_at: None,
                    expires_at: NOW,
                };
                Ok(Box::new(Checked(Arc::clone(&self.0), principal)))
            }
            ("outage", _) => {
                Err(MessageError::Unavailable(PortUnavailable::Away("fire".to_owned())))
            }
            _ => Err(MessageError::Refused),
        }
    }
}

#[async_trait]
impl CheckedMessage for Checked {
    fn principal(&self) -> &Principal {
        &self.1
    }

    async fn redeem(&self, _now: UnixTime) -> Result<String, MessageError> {
        match self.0.fetch_add(1, SeqCst) {
            0 => Ok("the next nonce".to_owned()),
            _ => Err(MessageError::Refused),
        }
    }
}

fn guard() -> (Guard, Arc<AtomicUsize>) {
    let sessions = FakeSessions::default();
    let redeemed = Arc::clone(&sessions.0);
    let ports = GuardPorts {
        clock: Arc::new(FixedClock::at(NOW)),
        issuer_keys: Arc::new(FakeIssuerKeys::default()),
        replay_log: Arc::new(FakeReplayLog::default()),
        standing: Arc::new(FakeStanding::default()),
    };
    let proofs = Proofs { signed_messages: Some(Arc::new(sessions)), ..Proofs::default() };
    let policy = GuardPolicy::new(ISSUER, AUDIENCE, TargetUri::parse(AUDIENCE).unwrap());
    (Guard::accepting(proofs, policy, ports, nonces(7)), redeemed)
}

fn signed(jwt: &str, signature: &[u8]) -> Parts {
    let (jwt, signature) = (format!("SignJWT {jwt}"), base64::encode(signature));
    request(PATH, &[("authorization", &jwt), ("signed-message", &signature)])
}

async fn answer(layer: GuardLayer, parts: Parts) -> Response<String> {
    let service = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, std::convert::Infallible>(Response::new("reached".to_owned()))
    });
    layer.layer(service).oneshot(Request::from_parts(parts, Full::default())).await.unwrap()
}

#[tokio::test]
async fn the_answer_carries_the_next_nonce() {
    let (guard, _) = guard();
    let response = answer(GuardLayer::new(guard.clone()), signed("session", b"signature")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["signjwt-nonce"], "the next nonce");
    let again = answer(GuardLayer::new(guard), signed("session", b"signature")).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert!(!again.headers().contains_key("signjwt-nonce"));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_challenge_of_the_scheme() {
    let (guard, redeemed) = guard();
    let absent = request(PATH, &[("authorization", "SignJWT session")]);
    let broken = request(PATH, &[("authorization", "SignJWT session"), ("signed-message", "%")]);
    let mut twice = signed("session", b"signature");
    twice.headers.append("signed-message", "AAAA".parse().unwrap());
    for (parts, error) in [
        (signed("session", b"other"), SignedMessageError::Refused),
        (signed("other", b"signature"), SignedMessageError::Refused),
        (absent, SignedMessageError::Absent),
        (broken, SignedMessageError::Malformed),
        (twice, SignedMessageError::Malformed),
    ] {
        let refused = guard.verify(&parts).await.unwrap_err();
        assert_eq!(refused.refusal, Refusal::SignedMessage(error));
        let response = answer(GuardLayer::new(guard.clone()), parts).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenges: Vec<_> =
            response.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
        let [challenge] = challenges.as_slice() else { panic!("{challenges:?}") };
        assert!(challenge.to_str().unwrap().starts_with("SignJWT algs=\""));
        assert!(challenge.to_str().unwrap().contains("error=\"invalid_token\""));
    }
    assert_eq!(redeemed.load(SeqCst), 0, "no nonce is used up");
}

#[tokio::test]
async fn a_scope_is_looked_at_before_the_nonce_is_used_up() {
    let (guard, redeemed) = guard();
    let layer = GuardLayer::new(guard.clone()).require_scopes("write".parse().unwrap());
    let response = answer(layer, signed("session", b"signature")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(redeemed.load(SeqCst), 0);
    let layer = GuardLayer::new(guard).require_scopes("read".parse().unwrap());
    assert_eq!(answer(layer, signed("session", b"signature")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_session_says_nothing_about_a_login_and_its_nonce_is_not_used_up() {
    let (guard, redeemed) = guard();
    let layer = GuardLayer::new(guard).max_age(Duration::from_mins(5));
    let response = answer(layer, signed("session", b"signature")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("DPoP "), "the scheme that can say it: {challenge}");
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    assert_eq!(redeemed.load(SeqCst), 0);
}

#[tokio::test]
async fn an_outage_keeps_its_cause() {
    let (guard, _) = guard();
    let response = answer(GuardLayer::new(guard), signed("outage", b"signature")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.body().contains("fire"));
}

#[tokio::test]
async fn by_default_the_scheme_means_nothing() {
    let world = crate::world::World::new();
    let refusal = world.verify(&signed("session", b"signature")).await.unwrap_err();
    assert_eq!(refusal, Refusal::Missing);
}
