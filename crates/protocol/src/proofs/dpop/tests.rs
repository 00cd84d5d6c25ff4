//! RFC 9449 §4.3, one check after the other.

mod conformance;
mod form;
mod key;
mod nonce;
mod replay;
mod request;
mod rfc9449;
mod time;

use std::hash::RandomState;

use serde_json::{Map, Value, json};

use super::*;
use crate::{
    challenges::sealed::EpochNonces,
    keys::{KeyError, KeyPolicy, PrivateKey},
    proofs::known_keys::KnownProofKeys,
    strict::base64url,
    test_support::{NOW, ec_p256, ed25519, every_algorithm, nonces, object, rsa},
    tokens::jws,
};

const URI: &str = "https://api.example/v1/whoami";
const TOKEN: &str = "an.access.token";
const NONCE_LIFETIME: Duration = Duration::from_mins(5);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A proof before it is signed, to be altered.
struct Draft {
    key: PrivateKey,
    header: Map<String, Value>,
    payload: Map<String, Value>,
}

impl Draft {
    /// A proof that [`Request::good`] accepts.
    fn good() -> Self {
        Self::by(ed25519(1))
    }

    fn by(key: PrivateKey) -> Self {
        let header = json!({ "typ": "dpop+jwt", "jwk": key.public_key().to_jwk() });
        let payload = json!({
            "jti": "proof 1",
            "htm": "POST",
            "htu": URI,
            "iat": NOW.as_secs(),
            "ath": ath(TOKEN),
            "nonce": sealer().issue(NOW),
        });
        Self { key, header: object(header), payload: object(payload) }
    }

    fn set(&mut self, claim: &str, value: Value) {
        self.payload.insert(claim.to_owned(), value);
    }

    fn remove(&mut self, claim: &str) {
        self.payload.remove(claim).unwrap();
    }

    fn sign(&self) -> String {
        jws::sign(&self.key, self.key.algorithm(), &self.header, &self.payload).unwrap()
    }
}

/// A request that a proof is presented with.
#[derive(Clone)]
struct Request {
    method: &'static str,
    uri: TargetUri,
    access_token: Option<TokenBinding>,
    nonce_required: bool,
    sealer_key: u8,
    window: ProofWindow,
    now: UnixTime,
}

impl Request {
    fn good() -> Self {
        Self {
            method: "POST",
            uri: TargetUri::parse(URI).unwrap(),
            access_token: Some(binding(&ed25519(1))),
            nonce_required: true,
            sealer_key: 7,
            window: ProofWindow::default(),
            now: NOW,
        }
    }

    /// As an endpoint verifies a proof: parsed, its key parsed, verified. Which header was known
    /// before makes no difference.
    fn verify(&self, proof: &str) -> Result<Unspent<DpopProof>, DpopError> {
        let verdict = self.verify_unknown(proof);
        for known in
            [knowing(None), knowing(Some(proof)), knowing(Some(&Draft::by(ed25519(9)).sign()))]
        {
            let presented = known.parse([proof.as_bytes()]);
            let again =
                presented.and_then(|proof| self.expecting(|e| known.verify(proof, e, self.now)));
            let entry = |verdict: &Result<Unspent<_>, _>| {
                verdict.as_ref().map(Unspent::entry).map_err(DpopError::clone)
            };
            assert_eq!(entry(&again), entry(&verdict));
        }
        verdict
    }

    fn verify_unknown(&self, proof: &str) -> Result<Unspent<DpopProof>, DpopError> {
        let presented = PresentedProof::parse(proof)?;
        let key = PublicKey::from_presented(presented.jwk(), None, &KeyPolicy::default())?;
        self.verify_with(presented, &key)
    }

    fn verify_with(
        &self,
        presented: PresentedProof<'_>,
        key: &PublicKey,
    ) -> Result<Unspent<DpopProof>, DpopError> {
        self.expecting(|expected| presented.verify(key, expected, self.now))
    }

    fn expecting<T>(&self, verify: impl FnOnce(&DpopExpectations<'_>) -> T) -> T {
        let sealer = sealer_of(self.sealer_key);
        let rule = if self.nonce_required { NonceRule::Required } else { NonceRule::IfPresent };
        verify(&DpopExpectations {
            method: self.method,
            uri: &self.uri,
            access_token: self.access_token,
            nonce: rule(&sealer),
            window: self.window,
        })
    }
}

/// Knows the header of `proof`, if that is one with a good key.
fn knowing(proof: Option<&str>) -> KnownProofKeys {
    let known = KnownProofKeys::new(4, KeyPolicy::default(), RandomState::new());
    if let Some(proof) = proof.and_then(|proof| PresentedProof::parse(proof).ok())
        && let Ok(key) = PublicKey::from_presented(proof.jwk(), None, &KeyPolicy::default())
    {
        known.remember(Arc::clone(proof.header()), key);
    }
    known
}

/// The verdict about a good proof with one alteration.
fn altered(alter: impl FnOnce(&mut Draft)) -> Result<(), DpopError> {
    let mut draft = Draft::good();
    assert_eq!(Request::good().verify(&draft.sign()).map(drop), Ok(()));
    alter(&mut draft);
    Request::good().verify(&draft.sign()).map(drop)
}

/// The verdict about a good proof with another value for one claim.
fn with(claim: &str, value: Value) -> Result<(), DpopError> {
    altered(|draft| draft.set(claim, value))
}

/// The verdict about a good proof with another value for one header parameter.
fn with_header(parameter: &str, value: Value) -> Result<(), DpopError> {
    altered(|draft| drop(draft.header.insert(parameter.to_owned(), value)))
}

/// The verdict about a good proof with a request that is not the one it is for.
fn requested(alter: impl FnOnce(&mut Request)) -> Result<(), DpopError> {
    let proof = Draft::good().sign();
    let mut request = Request::good();
    assert_eq!(request.verify(&proof).map(drop), Ok(()));
    alter(&mut request);
    request.verify(&proof).map(drop)
}

const fn missing(claim: &'static str) -> Result<(), DpopError> {
    Err(DpopError::Claim(ClaimError::Missing(claim)))
}

const fn malformed(claim: &'static str) -> Result<(), DpopError> {
    Err(DpopError::Claim(ClaimError::Malformed(claim)))
}

fn ath(token: &str) -> String {
    base64url::encode(&sha256(&[token.as_bytes()]))
}

fn binding(key: &PrivateKey) -> TokenBinding {
    TokenBinding { ath: sha256(&[TOKEN.as_bytes()]), jkt: key.public_key().thumbprint() }
}

fn sealer() -> EpochNonces {
    sealer_of(7)
}

fn sealer_of(key: u8) -> EpochNonces {
    nonces(key, NONCE_LIFETIME)
}
