//! Whoever changes a signed text, however little, holds nothing.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod nonces;
mod support;

use std::time::Duration;

use countersign_protocol::{
    ReplayEntry, UnixTime,
    keys::{KeyPolicy, PrivateKey, PublicKey},
    proofs::{
        dpop::{DpopError, DpopExpectations, NonceRule, PresentedProof, ProofWindow},
        target_uri::TargetUri,
    },
    tokens::{
        jws,
        verify::{AccessToken, AccessTokenExpectations},
    },
};
use proptest::prelude::*;
use serde_json::json;
use support::{ed25519, object};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const ISSUER: &str = "https://auth.example";
const URI: &str = "https://auth.example/oauth/token";

/// The keys whose proofs are mutated: one whose signatures have a single form, and one whose
/// signatures do not.
fn keys() -> [PrivateKey; 2] {
    let pem = include_str!("../vectors/keys/p256.pkcs8.pem");
    [ed25519(1), PrivateKey::from_pem(pem, &KeyPolicy::default()).unwrap()]
}

/// A good proof that is as short as proofs can be, so that all its bytes can be tried.
fn proof(key: &PrivateKey) -> Vec<u8> {
    let header = json!({ "typ": "dpop+jwt", "jwk": key.public_key().to_jwk() });
    let payload = json!({ "jti": "1", "htm": "POST", "htu": URI, "iat": NOW.as_secs() });
    jws::sign(key, key.algorithm(), &object(header), &object(payload)).unwrap().into_bytes()
}

/// As an endpoint verifies a field: with the key that the proof itself brings along.
fn verify(field: &[u8]) -> Result<ReplayEntry, DpopError> {
    let presented = PresentedProof::from_fields([field])?;
    let key = PublicKey::from_presented(presented.jwk(), None, &KeyPolicy::default())?;
    let nonces = nonces::nonces(Duration::from_mins(5));
    let expected = DpopExpectations {
        method: "POST",
        uri: &TargetUri::parse(URI).unwrap(),
        access_token: None,
        nonce: NonceRule::IfPresent(&nonces),
        window: ProofWindow::default(),
    };
    presented.verify(&key, &expected, NOW).map(|proof| proof.entry())
}

#[test]
fn no_other_byte_anywhere_in_a_proof_verifies() {
    for key in keys() {
        let good = proof(&key);
        assert!(verify(&good).is_ok());
        for place in 0..good.len() {
            let mut altered = good.clone();
            for byte in (0..=u8::MAX).filter(|byte| *byte != good[place]) {
                altered[place] = byte;
                assert!(verify(&altered).is_err(), "{byte:#04x} at {place}");
            }
        }
    }
}

#[test]
fn no_byte_more_or_less_verifies() {
    for key in keys() {
        let good = proof(&key);
        for place in 0..=good.len() {
            for byte in *b"A_.= \n\0" {
                let mut longer = good.clone();
                longer.insert(place, byte);
                assert!(verify(&longer).is_err(), "{byte:#04x} before {place}");
            }
            if place < good.len() {
                let mut shorter = good.clone();
                shorter.remove(place);
                assert!(verify(&shorter).is_err(), "without {place}");
            }
            assert!(place == good.len() || verify(&good[..place]).is_err(), "the first {place}");
            assert!(place == 0 || verify(&good[place..]).is_err(), "without the first {place}");
        }
    }
}

#[test]
fn no_other_byte_anywhere_in_an_access_token_verifies() {
    let key = ed25519(1);
    let payload = json!({
        "iss": ISSUER,
        "sub": "018f0000-0000-7000-8000-000000000001",
        "aud": ISSUER,
        "client_id": key.public_key().thumbprint().to_string(),
        "cnf": { "jkt": key.public_key().thumbprint().to_string() },
        "jti": "1",
        "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 60,
    });
    let header = object(json!({ "typ": "at+jwt" }));
    let good = jws::sign(&key, key.algorithm(), &header, &object(payload)).unwrap();
    let expected =
        AccessTokenExpectations { issuer: ISSUER, audience: ISSUER, skew: Duration::ZERO };
    let accepted = |text: &[u8]| {
        let token = std::str::from_utf8(text).ok().and_then(|text| AccessToken::parse(text).ok());
        token.is_some_and(|token| token.verify(key.public_key(), &expected, NOW).is_ok())
    };
    let mut altered = good.clone().into_bytes();
    assert!(accepted(&altered));
    for (place, own) in good.bytes().enumerate() {
        for byte in (0..0x80).filter(|byte| *byte != own) {
            altered[place] = byte;
            assert!(!accepted(&altered), "{byte:#04x} at {place}");
        }
        altered[place] = own;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_part_that_is_exchanged_verifies(
        start: prop::sample::Index,
        length in 0_usize..64,
        replacement in prop_oneof![
            "[A-Za-z0-9_.-]{0,64}",
            prop::collection::vec(any::<u8>(), 0..64)
                .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ],
    ) {
        let good = proof(&ed25519(1));
        let start = start.index(good.len());
        let end = good.len().min(start + length);
        let altered = [&good[..start], replacement.as_bytes(), &good[end..]].concat();
        prop_assume!(altered != good);
        prop_assert!(verify(&altered).is_err());
    }

    #[test]
    fn no_mixture_of_two_proofs_verifies(place: prop::sample::Index) {
        let [one, other] = keys().map(|key| proof(&key));
        let place = place.index(one.len().min(other.len()) - 1) + 1;
        for (head, tail) in [(&one, &other), (&other, &one)] {
            let mixed = [&head[..place], &tail[place..]].concat();
            prop_assume!(&mixed != head && &mixed != tail);
            prop_assert!(verify(&mixed).is_err());
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}",
    ) {
        prop_assert!(verify(&bytes).is_err());
        prop_assert!(verify(text.as_bytes()).is_err());
    }
}
