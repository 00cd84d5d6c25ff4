//! RFC 7523 §3, its revision for client authentication, and single use.

mod audience;
mod replay;
mod time;

use serde_json::{Map, Value, json};

use super::*;
use crate::{
    keys::{Algorithm, PrivateKey},
    test_support::{NOW, ec_p256, ed25519, every_algorithm, object, rsa},
    tokens::jws,
};

const ISSUER: &str = "https://auth.example";
const TOKEN_ENDPOINT: &str = "https://auth.example/oauth/token";
const MAX_LIFETIME: Duration = Duration::from_mins(5);
const SKEW: Duration = Duration::from_secs(5);
const LIFETIME: Duration = Duration::from_mins(1);

const fn expected(purpose: AssertionUse) -> AssertionExpectations<'static> {
    AssertionExpectations {
        purpose,
        issuer: ISSUER,
        token_endpoint: TOKEN_ENDPOINT,
        max_lifetime: MAX_LIFETIME,
        skew: SKEW,
    }
}

const BOTH_USES: [AssertionUse; 2] = [AssertionUse::Grant, AssertionUse::ClientAuthentication];

/// An assertion before it is signed, to be altered.
#[derive(Clone)]
struct Draft {
    header: Map<String, Value>,
    payload: Map<String, Value>,
}

impl Draft {
    /// An assertion that is accepted for both uses at [`NOW`].
    fn good() -> Self {
        let payload = json!({
            "iss": "alice",
            "sub": "alice",
            "aud": ISSUER,
            "exp": (NOW + LIFETIME).as_secs(),
            "jti": "assertion 1",
        });
        Self { header: Map::new(), payload: object(payload) }
    }

    fn set(&mut self, claim: &str, value: Value) {
        self.payload.insert(claim.to_owned(), value);
    }

    fn remove(&mut self, claim: &str) {
        self.payload.remove(claim).unwrap();
    }

    fn sign(&self, key: &PrivateKey) -> String {
        jws::sign(key, key.algorithm(), &self.header, &self.payload).unwrap()
    }

    fn verify(
        &self,
        purpose: AssertionUse,
        now: UnixTime,
    ) -> Result<Unspent<Assertion>, AssertionError> {
        let key = ed25519(1);
        let token = self.sign(&key);
        let presented = PresentedAssertion::parse(&token).unwrap();
        presented.verify(key.public_key(), &expected(purpose), now)
    }
}

/// The verdicts for both uses about a good assertion with one alteration.
fn altered(alter: impl FnOnce(&mut Draft)) -> [Result<(), AssertionError>; 2] {
    let mut draft = Draft::good();
    assert_eq!(verdicts(&draft, NOW), [Ok(()), Ok(())]);
    alter(&mut draft);
    verdicts(&draft, NOW)
}

/// The verdicts for both uses about a good assertion with another value for one claim.
fn with(claim: &str, value: Value) -> [Result<(), AssertionError>; 2] {
    altered(|draft| draft.set(claim, value))
}

fn verdicts(draft: &Draft, now: UnixTime) -> [Result<(), AssertionError>; 2] {
    BOTH_USES.map(|purpose| draft.verify(purpose, now).map(drop))
}

fn refused(error: AssertionError) -> [Result<(), AssertionError>; 2] {
    [Err(error.clone()), Err(error)]
}

fn malformed(claim: &'static str) -> [Result<(), AssertionError>; 2] {
    refused(AssertionError::Claim(ClaimError::Malformed(claim)))
}

fn missing(claim: &'static str) -> [Result<(), AssertionError>; 2] {
    refused(AssertionError::Claim(ClaimError::Missing(claim)))
}

#[test]
fn a_good_assertion_is_accepted_with_every_algorithm() {
    for (algorithm, key) in every_algorithm() {
        let draft = Draft::good();
        let token = jws::sign(&key, algorithm, &draft.header, &draft.payload).unwrap();
        let presented = PresentedAssertion::parse(&token).unwrap();
        assert_eq!(presented.subject(), Some("alice"));
        assert_eq!(presented.kid(), Ok(None));
        let verified =
            presented.verify(key.public_key(), &expected(AssertionUse::Grant), NOW).unwrap();
        assert_eq!(verified.peek().subject, "alice", "{algorithm}");
        assert_eq!(verified.peek().session_key, None, "{algorithm}");
    }
}

#[test]
fn only_the_credential_verifies() {
    let token = Draft::good().sign(&ed25519(1));
    for (key, verdict) in [
        (ed25519(1), Ok(())),
        (ed25519(2), Err(AssertionError::Signature)),
        (ec_p256(), Err(AssertionError::Signature)),
        (rsa(), Err(AssertionError::Signature)),
    ] {
        let presented = PresentedAssertion::parse(&token).unwrap();
        let verified =
            presented.verify(key.public_key(), &expected(AssertionUse::Grant), NOW).map(drop);
        assert_eq!(verified, verdict);
    }
}

#[test]
fn the_algorithm_cannot_be_swapped_under_one_key() {
    let key = rsa();
    let token = |algorithm| {
        jws::sign(&key, algorithm, &Draft::good().header, &Draft::good().payload).unwrap()
    };
    let (pkcs1, pss) = (token(Algorithm::Rs256), token(Algorithm::Ps256));
    let (header, _) = pss.split_once('.').unwrap();
    let (_, rest) = pkcs1.split_once('.').unwrap();
    let swapped = format!("{header}.{rest}");
    let presented = PresentedAssertion::parse(&swapped).unwrap();
    let verdict = presented.verify(key.public_key(), &expected(AssertionUse::Grant), NOW);
    assert_eq!(verdict.map(drop), Err(AssertionError::Signature));
}

#[test]
fn issuer_and_subject_must_be_the_same() {
    for issuer in ["mallory", "Alice", "alice ", "https://auth.example"] {
        assert_eq!(with("iss", json!(issuer)), refused(AssertionError::Issuer), "{issuer:?}");
    }
    assert_eq!(with("sub", json!("bob")), refused(AssertionError::Issuer));
    let both = altered(|draft| {
        draft.set("iss", json!("bob"));
        draft.set("sub", json!("bob"));
    });
    assert_eq!(both, [Ok(()), Ok(())], "who it is, the caller looks up");
}

#[test]
fn required_claims_must_be_there_and_be_strings() {
    for claim in ["iss", "sub", "aud", "exp", "jti"] {
        assert_eq!(altered(|draft| draft.remove(claim)), missing(claim), "{claim}");
        for value in [json!(null), json!(true), json!({}), json!([]), json!("")] {
            assert_eq!(with(claim, value.clone()), malformed(claim), "{claim}: {value}");
        }
    }
    for claim in ["iss", "sub", "aud", "jti"] {
        assert_eq!(with(claim, json!(7)), malformed(claim), "{claim}");
    }
    for claim in ["iss", "sub", "jti"] {
        assert_eq!(with(claim, json!(["alice"])), malformed(claim), "{claim}");
    }
}

#[test]
fn a_jti_has_at_most_128_bytes() {
    assert_eq!(with("jti", json!("j".repeat(128))), [Ok(()), Ok(())]);
    let too_long = |bytes| {
        let error = ClaimError::TooLong { name: "jti", bytes, max: 128 };
        refused(AssertionError::Claim(error))
    };
    assert_eq!(with("jti", json!("j".repeat(129))), too_long(129));
    assert_eq!(with("jti", json!("ü".repeat(64))), [Ok(()), Ok(())]);
    assert_eq!(with("jti", json!("ü".repeat(65))), too_long(130));
}

#[test]
fn another_kind_of_token_is_refused_by_its_typ() {
    let typ = |typ: &str| altered(|draft| drop(draft.header.insert("typ".to_owned(), typ.into())));
    for plain in ["JWT", "jwt", "application/jwt"] {
        assert_eq!(typ(plain), [Ok(()), Ok(())], "{plain}");
    }
    for own in ["client-authentication+jwt", "application/Client-Authentication+JWT"] {
        assert_eq!(typ(own), [Err(AssertionError::Type), Ok(())], "{own}");
    }
    for other in [
        "at+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "dbsc+jwt",
        "logout+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "statuslist+jwt",
        "JWT ",
        "",
    ] {
        assert_eq!(typ(other), refused(AssertionError::Type), "{other:?}");
    }
}

#[test]
fn a_session_key_is_named_by_cnf_jkt() {
    let session_key = ed25519(2).public_key().thumbprint();
    let mut draft = Draft::good();
    draft.set("cnf", json!({ "jkt": session_key.to_string() }));
    for purpose in BOTH_USES {
        let verified = draft.verify(purpose, NOW).unwrap();
        assert_eq!(verified.peek().session_key, Some(session_key));
    }
}

#[test]
fn a_session_key_that_is_not_understood_is_not_ignored() {
    let jkt = ed25519(2).public_key().thumbprint().to_string();
    for cnf in [
        json!({}),
        json!(null),
        json!(jkt),
        json!({ "jkt": jkt[1..] }),
        json!({ "jkt": null }),
        json!({ "jwk": ed25519(2).public_key().to_jwk() }),
        json!({ "x5t#S256": jkt }),
        json!({ "jkt": jkt, "kid": "1" }),
    ] {
        assert_eq!(with("cnf", cnf.clone()), malformed("cnf"), "{cnf}");
    }
}

#[test]
fn what_is_shown_before_verification_may_be_missing() {
    let mut draft = Draft::good();
    draft.remove("sub");
    let token = draft.sign(&ed25519(1));
    assert_eq!(PresentedAssertion::parse(&token).unwrap().subject(), None);
    draft.set("sub", json!(["alice"]));
    let token = draft.sign(&ed25519(1));
    assert_eq!(PresentedAssertion::parse(&token).unwrap().subject(), None);
    assert_eq!(PresentedAssertion::parse("alice").err(), Some(JwsError::NotCompact));
}
