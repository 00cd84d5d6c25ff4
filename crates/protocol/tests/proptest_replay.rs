//! The replay log may forget: whatever it forgets is refused for its age by then.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod nonces;
mod support;

use std::{collections::HashMap, time::Duration};

use countersign_protocol::{
    ReplayEntry, UnixTime,
    challenges::sealed::{EpochNonces, Nonces as _},
    proofs::{
        dpop::{DpopError, DpopExpectations, NonceRule, PresentedProof, ProofWindow},
        target_uri::TargetUri,
    },
    tokens::{
        assertion::{AssertionError, AssertionExpectations, AssertionUse, PresentedAssertion},
        jws,
    },
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{ed25519, object};

const URI: &str = "https://auth.example/oauth/token";
const ISSUER: &str = "https://auth.example";
const NONCE_LIFETIME: Duration = Duration::from_mins(5);

fn proof(iat: u64) -> String {
    let header = json!({ "typ": "dpop+jwt", "jwk": ed25519(1).public_key().to_jwk() });
    sign(&object(header), json!({ "jti": "proof", "htm": "POST", "htu": URI, "iat": iat }))
}

fn assertion(exp: u64) -> String {
    let payload = json!({ "iss": "a", "sub": "a", "aud": ISSUER, "exp": exp, "jti": "assertion" });
    sign(&Map::new(), payload)
}

fn sign(header: &Map<String, Value>, payload: Value) -> String {
    let key = ed25519(1);
    jws::sign(&key, key.algorithm(), header, &object(payload)).unwrap()
}

fn verify_proof(text: &str, window: ProofWindow, now: UnixTime) -> Result<ReplayEntry, DpopError> {
    let expected = DpopExpectations {
        method: "POST",
        uri: &TargetUri::parse(URI).unwrap(),
        access_token: None,
        nonce: NonceRule::IfPresent(&sealer()),
        window,
    };
    let presented = PresentedProof::parse(text)?;
    presented.verify(ed25519(1).public_key(), &expected, now).map(|proof| proof.entry())
}

fn verify_assertion(
    text: &str,
    (max_lifetime, skew): (Duration, Duration),
    now: UnixTime,
) -> Result<ReplayEntry, AssertionError> {
    let expected = AssertionExpectations {
        purpose: AssertionUse::Grant,
        issuer: ISSUER,
        token_endpoint: URI,
        max_lifetime,
        skew,
    };
    let presented = PresentedAssertion::parse(text).unwrap();
    presented.verify(ed25519(1).public_key(), &expected, now).map(|assertion| assertion.entry())
}

fn sealer() -> EpochNonces {
    nonces::nonces(NONCE_LIFETIME)
}

/// A replay log that forgets as soon as it may.
#[derive(Default)]
struct ForgetfulLog(HashMap<[u8; 32], UnixTime>);

impl ForgetfulLog {
    fn check_and_insert(&mut self, entry: ReplayEntry, now: UnixTime) -> bool {
        self.0.retain(|_, forget_at| now < *forget_at);
        self.0.insert(entry.digest, entry.forget_at).is_none()
    }
}

fn seconds(most: u64) -> impl Strategy<Value = Duration> {
    (0..=most).prop_map(Duration::from_secs)
}

fn window() -> impl Strategy<Value = ProofWindow> {
    (seconds(120), seconds(60)).prop_map(|(past, future)| ProofWindow { past, future })
}

/// A date that a token may bear, mostly an ordinary one.
fn date() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 1_600_000_000_u64..1_900_000_000,
        1 => 0_u64..300,
        1 => UnixTime::MAX_SECS - 300..=UnixTime::MAX_SECS,
    ]
}

/// A moment around `date`, by milliseconds and often exactly at a whole second.
fn around(date: u64, offset: i64) -> UnixTime {
    UnixTime::from_millis(UnixTime::from_secs(date).as_millis().saturating_add_signed(offset))
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![-400_000_i64..400_000, (-400_i64..400).prop_map(|seconds| seconds * 1000)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_accepted_proof_is_remembered_for_as_long_as_it_is_accepted(
        iat in date(),
        offset in offset(),
        window in window(),
    ) {
        let (text, now) = (proof(iat), around(iat, offset));
        match verify_proof(&text, window, now) {
            Ok(entry) => {
                prop_assert!(now < entry.forget_at);
                prop_assert_eq!(
                    verify_proof(&text, window, entry.forget_at),
                    Err(DpopError::TooOld)
                );
                let last = entry.forget_at - Duration::from_millis(1);
                prop_assert_eq!(verify_proof(&text, window, last), Ok(entry));
            }
            Err(DpopError::TooOld) => {
                prop_assert!(now >= UnixTime::from_secs(iat) + window.past);
            }
            Err(DpopError::FromTheFuture) => {
                prop_assert!(now + window.future < UnixTime::from_secs(iat));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn an_accepted_assertion_is_remembered_for_as_long_as_it_is_accepted(
        exp in date(),
        offset in offset(),
        limits in (seconds(600), seconds(60)),
    ) {
        let (max_lifetime, skew) = limits;
        let ahead = skew.max(countersign_protocol::CLIENT_CLOCK_AHEAD);
        let (text, now) = (assertion(exp), around(exp, offset));
        match verify_assertion(&text, limits, now) {
            Ok(entry) => {
                prop_assert!(now < entry.forget_at);
                let end = verify_assertion(&text, limits, entry.forget_at);
                prop_assert_eq!(end, Err(AssertionError::Expired));
                prop_assert!(entry.forget_at.since(now) <= max_lifetime + skew + ahead, "bounded");
            }
            Err(AssertionError::Expired) => {
                prop_assert!(now >= UnixTime::from_secs(exp) + skew);
            }
            Err(AssertionError::TooLongLived { .. }) => {
                prop_assert!(UnixTime::from_secs(exp) > now + max_lifetime + ahead);
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn a_proof_works_once_however_often_and_whenever_it_is_presented(
        iat in date(),
        mut offsets in prop::collection::vec(-100_000_i64..200_000, 1..20),
        window in window(),
    ) {
        offsets.sort_unstable();
        let text = proof(iat);
        let mut log = ForgetfulLog::default();
        let successes = offsets
            .into_iter()
            .map(|offset| around(iat, offset))
            .filter(|now| {
                verify_proof(&text, window, *now)
                    .is_ok_and(|entry| log.check_and_insert(entry, *now))
            })
            .count();
        prop_assert!(successes <= 1, "{successes} successes");
    }

    #[test]
    fn an_assertion_works_once_however_often_and_whenever_it_is_presented(
        exp in date(),
        mut offsets in prop::collection::vec(-400_000_i64..100_000, 1..20),
        limits in (seconds(600), seconds(60)),
    ) {
        offsets.sort_unstable();
        let text = assertion(exp);
        let mut log = ForgetfulLog::default();
        let successes = offsets
            .into_iter()
            .map(|offset| around(exp, offset))
            .filter(|now| {
                verify_assertion(&text, limits, *now)
                    .is_ok_and(|entry| log.check_and_insert(entry, *now))
            })
            .count();
        prop_assert!(successes <= 1, "{successes} successes");
    }

    #[test]
    fn a_nonce_is_recognised_during_its_lifetime_and_never_else(
        made in date(),
        offset in offset(),
    ) {
        let (made, now) = (UnixTime::from_secs(made), around(made, offset));
        let alive = made <= now && now < made + NONCE_LIFETIME;
        prop_assert_eq!(sealer().epoch_of(&sealer().issue(made), now).is_some(), alive);
    }
}
