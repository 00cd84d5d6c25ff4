//! The keys of proofs that verified, known again by the header that carries them.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher, RandomState},
    sync::Arc,
};

use quick_cache::{
    UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::{
    UnixTime, Unspent,
    keys::{KeyPolicy, PublicKey},
    proofs::dpop::{
        DpopError, DpopExpectations, DpopProof, PresentedProof, ProofHeader, sole_field,
    },
};

/// Knows the headers of proofs again, which a client sends with each of its proofs alike, and the keys
/// in them. Reading both is most of the work before the signature. That one is known changes nothing
/// else: a header is known by its whole text, and the signature is checked each time.
///
/// *Memory.* An entry takes one or two kilobytes. There is room for a fixed number; those that are used
/// once only make way first, so a client that sends ever new headers pushes out nobody else's.
pub struct KnownProofKeys {
    known: Cache<ByText, Known, UnitWeighter, RandomState>,
    policy: KeyPolicy,
}

/// A header, found by its text.
struct ByText(Arc<ProofHeader>);

#[derive(Clone)]
struct Known {
    header: Arc<ProofHeader>,
    key: PublicKey,
}

/// A longer header is not worth a place: those of RSA keys of 4096 bits have about a thousand
/// characters.
const MAX_HEADER: usize = 2048;

impl KnownProofKeys {
    /// With room for `capacity` headers, for keys that meet `policy`; `hashing` is keyed at random.
    pub fn new(capacity: usize, policy: KeyPolicy, hashing: RandomState) -> Self {
        let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
        let known =
            Cache::with(capacity, weight, UnitWeighter, hashing, DefaultLifecycle::default());
        Self { known, policy }
    }

    /// Parses the proof of a request, as [`PresentedProof::from_fields`] does.
    ///
    /// # Errors
    /// When there is not exactly one, or it is not a proof.
    pub fn parse<'a>(
        &self,
        fields: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<PresentedProof<'a>, DpopError> {
        let segments = sole_field(fields)?;
        match self.known.get(segments.header) {
            Some(Known { header, key }) => PresentedProof::under(header, Some(key), segments),
            None => PresentedProof::read(segments),
        }
    }

    /// Verifies `proof` by the key that it carries, which is known from then on.
    ///
    /// # Errors
    /// When the key cannot be used, and as [`PresentedProof::verify`].
    pub fn verify(
        &self,
        proof: PresentedProof<'_>,
        expected: &DpopExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<DpopProof>, DpopError> {
        if let Some(key) = proof.known_key().cloned() {
            return proof.verify(&key, expected, now);
        }
        let key = PublicKey::from_presented(proof.jwk(), None, &self.policy)?;
        self.verify_by(&key, proof, expected, now)
    }

    /// The same by `key`, which is that of the proof and was parsed elsewhere.
    ///
    /// # Errors
    /// As [`PresentedProof::verify`].
    pub fn verify_by(
        &self,
        key: &PublicKey,
        proof: PresentedProof<'_>,
        expected: &DpopExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<DpopProof>, DpopError> {
        let unknown = proof.known_key().is_none().then(|| Arc::clone(proof.header()));
        let verified = proof.verify(key, expected, now)?;
        if let Some(header) = unknown {
            self.remember(header, key.clone());
        }
        Ok(verified)
    }

    pub(super) fn remember(&self, header: Arc<ProofHeader>, key: PublicKey) {
        if header.text().len() <= MAX_HEADER {
            self.known.insert(ByText(Arc::clone(&header)), Known { header, key });
        }
    }
}

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        self.0.text()
    }
}

/// As that of the text, by which it is looked for.
impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text().hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0.text() == other.0.text()
    }
}

impl Eq for ByText {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, json};

    use super::*;
    use crate::{
        keys::PrivateKey,
        proofs::{
            dpop::{NonceRule, ProofWindow, TYPE},
            target_uri::TargetUri,
        },
        test_support::{NOW, ed25519, nonces, object},
        tokens::jws,
    };

    const URI: &str = "https://api.example/";

    fn known_keys() -> KnownProofKeys {
        KnownProofKeys::new(4, KeyPolicy::default(), RandomState::new())
    }

    fn header(key: &PrivateKey) -> Map<String, serde_json::Value> {
        object(json!({ "typ": TYPE, "jwk": key.public_key().to_jwk() }))
    }

    /// A proof by `key` under a header, good or not.
    fn proof(key: &PrivateKey, header: &Map<String, serde_json::Value>, is_good: bool) -> String {
        let method = if is_good { "GET" } else { "POST" };
        let claims = json!({ "jti": "1", "htm": method, "htu": URI, "iat": NOW.as_secs() });
        jws::sign(key, key.algorithm(), header, &claims).unwrap()
    }

    fn verify(known: &KnownProofKeys, text: &str) -> Result<(), DpopError> {
        let nonces = nonces(7, Duration::from_mins(5));
        let expected = DpopExpectations {
            method: "GET",
            uri: &TargetUri::parse(URI).unwrap(),
            access_token: None,
            nonce: NonceRule::IfPresent(&nonces),
            window: ProofWindow::default(),
        };
        known.verify(known.parse([text.as_bytes()])?, &expected, NOW).map(drop)
    }

    fn is_known(known: &KnownProofKeys, text: &str) -> bool {
        known.parse([text.as_bytes()]).unwrap().known_key().is_some()
    }

    #[test]
    fn a_header_is_known_once_a_proof_under_it_has_verified() {
        let (known, key) = (known_keys(), ed25519(1));
        let (good, bad) = (proof(&key, &header(&key), true), proof(&key, &header(&key), false));
        assert_eq!(verify(&known, &bad), Err(DpopError::Method));
        assert!(!is_known(&known, &good));
        for _ in 0..2 {
            assert_eq!(verify(&known, &good), Ok(()));
            assert!(is_known(&known, &good));
        }
        let mut other = header(&key);
        other.insert("kid".to_owned(), json!("1"));
        assert!(!is_known(&known, &proof(&key, &other, true)), "another text is another header");
    }

    #[test]
    fn a_known_header_needs_a_signature_all_the_same() {
        let (known, key) = (known_keys(), ed25519(1));
        assert_eq!(verify(&known, &proof(&key, &header(&key), true)), Ok(()));
        let forged = proof(&ed25519(2), &header(&key), true);
        assert!(is_known(&known, &forged));
        assert_eq!(verify(&known, &forged), Err(DpopError::Signature));
    }

    #[test]
    fn a_long_header_is_verified_and_not_kept() {
        let (known, key) = (known_keys(), ed25519(1));
        let mut long = header(&key);
        long.insert("kid".to_owned(), json!("x".repeat(MAX_HEADER)));
        let proof = proof(&key, &long, true);
        assert_eq!(verify(&known, &proof), Ok(()));
        assert!(!is_known(&known, &proof));
    }

    #[test]
    fn what_is_known_is_bounded() {
        let known = known_keys();
        let proofs: Vec<String> =
            (0..50).map(ed25519).map(|key| proof(&key, &header(&key), true)).collect();
        for proof in &proofs {
            assert_eq!(verify(&known, proof), Ok(()));
        }
        assert!(proofs.iter().filter(|proof| is_known(&known, proof)).count() <= 8);
    }
}
