//! The signed texts, taken apart by hand and checked claim by claim; then as a server checks them.

use std::collections::BTreeSet;

use countersign_protocol::challenges::sealed::{EpochNonces, NonceSealer, Nonces as _};
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::keys::{Algorithm, KeyPolicy, NewKey, PublicKey};
use countersign_protocol::proofs::body_hash::BodyHashes;
use countersign_protocol::proofs::dpop::{
    DpopExpectations, DpopProof, NonceRule, PresentedProof, ProofWindow, TokenBinding,
};
use countersign_protocol::proofs::self_signed::{
    PresentedSelfSigned, SelfSignedError, SelfSignedExpectations,
};
use countersign_protocol::proofs::target_uri::TargetUri;
use countersign_protocol::replay::{EpochId, LogEpoch};
use countersign_protocol::tokens::assertion::{
    AssertionExpectations, AssertionUse, PresentedAssertion,
};

use super::*;
use crate::testing::{CountingRandom, NOW};

const KINDS: [(NewKey, &str); 4] = [
    (NewKey::Ed25519, "EdDSA"),
    (NewKey::EcP256, "ES256"),
    (NewKey::EcP384, "ES384"),
    (NewKey::Rsa2048, "RS256"),
];

fn uri(text: &str) -> TargetUri {
    TargetUri::parse(text).unwrap()
}

/// Header and claims of a compact JWS whose signature by `key` is good.
fn take_apart(token: &str, key: &PublicKey) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{token}") };
    let decode =
        |part| -> Value { serde_json::from_slice(&base64url::decode(part).unwrap()).unwrap() };
    let (header_json, claims_json) = (decode(header), decode(claims));
    let algorithm = Algorithm::from_name(header_json["alg"].as_str().unwrap()).unwrap();
    let signature = base64url::decode(signature).unwrap();
    key.verify(algorithm, format!("{header}.{claims}").as_bytes(), &signature).unwrap();
    (header_json, claims_json)
}

fn members(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_proof_says_what_rfc_9449_asks_for() {
    let token = AccessToken::new("aaa.bbb.ccc".to_owned()).unwrap();
    for (kind, algorithm) in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        let proof = Proof {
            method: "POST",
            uri: "https://auth.example/oauth/token",
            access_token: Some(&token),
            nonce: Some("n-1"),
            body: Some(b"abc"),
        };
        let proof = proof.sign(&key, NOW, &CountingRandom::default()).unwrap();

        let (header, claims) = take_apart(&proof, key.public_key());
        assert_eq!(members(&header), ["alg", "jwk", "typ"]);
        assert_eq!(header["typ"], "dpop+jwt");
        assert_eq!(header["alg"], algorithm);
        let jwk = header["jwk"].as_object().unwrap();
        let carried = PublicKey::from_jwk(jwk, &KeyPolicy::default()).unwrap();
        assert_eq!(carried.thumbprint(), key.public_key().thumbprint());
        assert!(["d", "p", "q", "k"].iter().all(|private| !jwk.contains_key(*private)));

        assert_eq!(members(&claims), ["ath", "htm", "htu", "iat", "jti", "nonce", "tha"]);
        assert_eq!(claims["tha"], body_hash::sha256_hex(b"abc"));
        assert_eq!(claims["htm"], "POST");
        assert_eq!(claims["htu"], "https://auth.example/oauth/token");
        assert_eq!(claims["iat"], 2_000_000_000);
        assert_eq!(claims["nonce"], "n-1");
        // printf aaa.bbb.ccc | openssl sha256 -binary | basenc --base64url
        assert_eq!(claims["ath"], "zoh6juzga6MpwYi5z4cr2KcKDDVCdf48Q1RQAkeEyd4");
        assert_eq!(base64url::decode(claims["jti"].as_str().unwrap()).unwrap().len(), 16);
    }
}

#[test]
fn what_is_absent_is_left_out() {
    let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
    let proof =
        Proof { method: "GET", uri: "https://a/", access_token: None, nonce: None, body: None };
    let proof = proof.sign(&key, NOW, &CountingRandom::default()).unwrap();
    let (_, claims) = take_apart(&proof, key.public_key());
    assert_eq!(members(&claims), ["htm", "htu", "iat", "jti"]);
}

#[test]
fn no_two_proofs_or_assertions_are_alike() {
    let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
    let random = CountingRandom::default();
    let uri = uri("https://a/");
    let proof =
        Proof { method: "GET", uri: uri.as_str(), access_token: None, nonce: None, body: None };
    let assertion = Assertion { subject: "toto", audience: "https://a", session_key: None };
    let ids: BTreeSet<String> = (0..50)
        .flat_map(|_| {
            let signed = [
                proof.sign(&key, NOW, &random).unwrap(),
                assertion.sign(&key, NOW, &random).unwrap(),
            ];
            signed.map(|token| take_apart(&token, key.public_key()).1["jti"].to_string())
        })
        .collect();
    assert_eq!(ids.len(), 100);
}

#[test]
fn an_assertion_says_what_rfc_7523_asks_for() {
    let session_key = PrivateKey::generate(NewKey::EcP256).unwrap().public_key().thumbprint();
    for (kind, algorithm) in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        for bound in [None, Some(session_key)] {
            let assertion =
                Assertion { subject: "toto", audience: "https://auth.example", session_key: bound };
            let assertion = assertion.sign(&key, NOW, &CountingRandom::default()).unwrap();

            let (header, claims) = take_apart(&assertion, key.public_key());
            assert_eq!(members(&header), ["alg", "kid", "typ"]);
            assert_eq!(header["alg"], algorithm);
            assert_eq!(header["kid"], key.public_key().thumbprint().to_string());
            assert_eq!((&claims["iss"], &claims["sub"]), (&"toto".into(), &"toto".into()));
            assert_eq!(claims["aud"], "https://auth.example");
            assert_eq!(claims["iat"], 2_000_000_000);
            assert_eq!(claims["exp"], 2_000_000_060);
            assert_eq!(base64url::decode(claims["jti"].as_str().unwrap()).unwrap().len(), 16);
            match bound {
                Some(bound) => assert_eq!(claims["cnf"], json!({ "jkt": bound.to_string() })),
                None => assert!(claims.get("cnf").is_none()),
            }
        }
    }
}

#[test]
fn the_server_accepts_what_the_client_signs() {
    let token = AccessToken::new("aaa.bbb.ccc".to_owned()).unwrap();
    let epoch = LogEpoch { id: EpochId::from_bytes([1; 16]), since: UnixTime::EPOCH };
    let sealer = NonceSealer::new(SealingKey::from_bytes(&[7; 32]), Duration::from_mins(5));
    let nonces = EpochNonces::new(sealer, epoch);
    let nonce = nonces.issue(NOW);
    let uri = uri("https://auth.example/v1/whoami");
    let random = CountingRandom::default();
    for (kind, _) in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        let thumbprint = key.public_key().thumbprint();
        let proof = Proof {
            method: "GET",
            uri: uri.as_str(),
            access_token: Some(&token),
            nonce: Some(&nonce),
            body: Some(b"abc"),
        };
        let proof = proof.sign(&key, NOW, &random).unwrap();
        let expected = DpopExpectations {
            method: "GET",
            uri: &uri,
            access_token: Some(TokenBinding { ath: sha256(&[b"aaa.bbb.ccc"]), jkt: thumbprint }),
            nonce: NonceRule::Required(&nonces),
            window: ProofWindow::default(),
        };
        let presented = PresentedProof::parse(&proof).unwrap();
        let verified = presented.verify(key.public_key(), &expected, NOW).unwrap();
        let expected =
            DpopProof { thumbprint, body_hash: Some(sha256(&[b"abc"])), nonce_of: Some(epoch.id) };
        assert_eq!(*verified.peek(), expected);

        let issuer = "https://auth.example";
        let assertion =
            Assertion { subject: "toto", audience: issuer, session_key: Some(thumbprint) };
        let assertion = assertion.sign(&key, NOW, &random).unwrap();
        let expected = AssertionExpectations {
            purpose: AssertionUse::Grant,
            issuer,
            token_endpoint: "https://auth.example/oauth/token",
            max_lifetime: Duration::from_mins(5),
            skew: Duration::from_secs(10),
        };
        let presented = PresentedAssertion::parse(&assertion).unwrap();
        assert_eq!(presented.kid(), Ok(Some(thumbprint)));
        let verified = presented.verify(key.public_key(), &expected, NOW).unwrap();
        assert_eq!(verified.peek().subject, "toto");
        assert_eq!(verified.peek().session_key, Some(thumbprint));
    }
}

#[test]
fn a_self_signed_jwt_is_one_that_a_server_takes_once() {
    for (kind, algorithm) in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        let jwt = SelfSigned { account: "alice", audience: "https://a", body: Some(b"body") };
        let text = jwt.sign(&key, NOW, &CountingRandom::default()).unwrap();
        let (header, claims) = take_apart(&text, key.public_key());
        assert_eq!(header["alg"], algorithm);
        assert_eq!(members(&claims), ["aud", "exp", "iat", "jti", "sub", "tha"]);

        let expected = SelfSignedExpectations {
            issuer: "https://a",
            audience: "https://a",
            require_audience: true,
            max_lifetime: SELF_SIGNED_LIFETIME,
            skew: Duration::ZERO,
            body: Some(b"body"),
            body_hashes: BodyHashes::Sha256,
            require_body_hash: true,
        };
        let verify = |expected: &SelfSignedExpectations<'_>| {
            let presented = PresentedSelfSigned::parse(&text).unwrap();
            presented.verify([key.public_key()], expected, NOW).map(|_| ())
        };
        assert_eq!(verify(&expected), Ok(()));
        let other = SelfSignedExpectations { body: Some(b"other"), ..expected };
        assert_eq!(verify(&other), Err(SelfSignedError::BodyHash));
    }
}
