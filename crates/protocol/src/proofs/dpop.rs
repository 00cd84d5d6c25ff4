//! DPoP proofs (RFC 9449): a JWT in the `DPoP` header, signed by the key that it carries, for one
//! method and one URI.

mod error;
mod header;

use std::{sync::Arc, time::Duration};

pub use self::error::{DpopError, OtherName, SubjectError};
pub(super) use self::header::ProofHeader;
pub use self::header::TYPE;

use crate::{
    CLIENT_CLOCK_AHEAD, ReplayEntry, UnixTime, Unspent, Unverified,
    challenges::sealed::Nonces,
    digest::sha256,
    keys::{Algorithm, PresentedJwk, PublicKey, Thumbprint},
    names::AccountName,
    proofs::{
        body_hash,
        target_uri::{self, TargetUri},
    },
    replay::EpochId,
    strict::base64url::Encoded32,
    tokens::{
        claims::{ClaimError, Claims},
        jws::{self, Jws, JwsError, Segments},
        validity::Validity,
    },
};

/// A longer `jti` is refused (RFC 9449 §11.1).
const MAX_JTI: usize = 128;

/// A proof as it was presented: nothing in it is trusted until [`Self::verify`].
#[derive(Debug)]
pub struct PresentedProof<'a> {
    jws: Unverified<Jws<'a>>,
    header: Arc<ProofHeader>,
    key: Option<PublicKey>,
}

/// What a proof must say to be accepted.
#[derive(Clone, Copy)]
pub struct DpopExpectations<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's URI, as the client sees it.
    pub uri: &'a TargetUri,
    /// The access token that is presented with it, if any.
    pub access_token: Option<TokenBinding>,
    /// What is demanded of the `nonce`.
    pub nonce: NonceRule<'a>,
    /// How old and how far ahead the proof may be.
    pub window: ProofWindow,
}

/// The token that a proof must be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBinding {
    /// SHA-256 of the token's text, which `ath` must equal.
    pub ath: [u8; 32],
    /// The token's `cnf.jkt`, whose key must have signed the proof.
    pub jkt: Thumbprint,
}

/// What is demanded of a proof's `nonce`.
#[derive(Clone, Copy)]
pub enum NonceRule<'a> {
    /// It must be there and be fresh. A client cannot fall back to a proof without it
    /// (RFC 9449 §11.3).
    Required(&'a dyn Nonces),
    /// If it is there, it must be fresh.
    IfPresent(&'a dyn Nonces),
}

/// How far `iat` may be from the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofWindow {
    /// How old a proof may be.
    pub past: Duration,
    /// How far ahead the client's clock may be.
    pub future: Duration,
}

impl Default for ProofWindow {
    fn default() -> Self {
        Self { past: Duration::from_mins(1), future: CLIENT_CLOCK_AHEAD }
    }
}

/// What a verified proof says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpopProof {
    /// The key that signed it.
    pub thumbprint: Thumbprint,
    /// `tha`: the SHA-256 of the body that it was made for, if it says so. It is not compared
    /// here: most resources do not ask for it.
    pub body_hash: Option<[u8; 32]>,
    /// The epoch of the nonce that it carries, which is fresh; `None` without a nonce. Only with one is
    /// it known to be made now.
    pub nonce_of: Option<EpochId>,
}

impl<'a> PresentedProof<'a> {
    /// Parses the proof in a request's only `DPoP` header field; `fields` has the values of all of
    /// them (RFC 9449 §4.3, checks 1, 2, 4, 5 and 7).
    ///
    /// # Errors
    /// When there is not exactly one, or it is not a proof.
    pub fn from_fields(
        fields: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<PresentedProof<'a>, DpopError> {
        Self::read(sole_field(fields)?)
    }

    /// Parses the text of a proof.
    ///
    /// # Errors
    /// When it is not a proof.
    pub fn parse(text: &'a str) -> Result<Self, DpopError> {
        Self::read(Segments::split(jws::MAX_LEN, text)?)
    }

    /// The proof in `segments`.
    pub(super) fn read(segments: Segments<'a>) -> Result<Self, DpopError> {
        let header = Arc::new(ProofHeader::parse(segments.header)?);
        Self::under(header, None, segments)
    }

    /// The proof in `segments`, whose header was read before; with the key in it, if that is known.
    pub(super) fn under(
        header: Arc<ProofHeader>,
        key: Option<PublicKey>,
        segments: Segments<'a>,
    ) -> Result<Self, DpopError> {
        Ok(Self { jws: Jws::under(Arc::clone(&header.jws), segments)?, header, key })
    }

    pub(super) const fn header(&self) -> &Arc<ProofHeader> {
        &self.header
    }

    pub(super) const fn known_key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }

    /// The key that the proof carries, yet to be parsed.
    pub fn jwk(&self) -> &PresentedJwk {
        &self.header.jwk
    }

    /// The algorithm that it says it is signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.jws.algorithm()
    }

    /// Checks that it says whose it is: `sub` must name the account for which `is_meant` holds. A proof
    /// in the `DPoP` header has no `sub`; one in a body, with which a key is added to an account, must
    /// be of no use for another account.
    ///
    /// # Errors
    /// When `sub` is missing, or names another account.
    pub fn for_account(
        self,
        is_meant: impl FnOnce(&AccountName) -> bool,
    ) -> Result<Self, SubjectError> {
        let claims = Claims::new(self.jws.content().payload());
        let subject = claims.optional_string("sub").map_err(|_| SubjectError::Other)?;
        let subject = subject.ok_or(SubjectError::Missing)?;
        let is_meant = subject.parse().is_ok_and(|name| is_meant(&name));
        is_meant.then_some(self).ok_or(SubjectError::Other)
    }

    /// Checks all that is left of RFC 9449 §4.3, the cheap rules before the signature. `key` is
    /// [`Self::jwk`] parsed, or a key of the same thumbprint that was parsed before.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        self,
        key: &PublicKey,
        expected: &DpopExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<DpopProof>, DpopError> {
        let thumbprint = self.header.jwk.thumbprint();
        if key.thumbprint() != thumbprint {
            return Err(DpopError::Signature);
        }
        let claims = Claims::new(self.jws.content().payload());
        let jti = claims.string_up_to(MAX_JTI, "jti")?;
        if claims.string("htm")? != expected.method {
            return Err(DpopError::Method);
        }
        check_uri(claims.string_up_to(target_uri::MAX_LEN, "htu")?, expected.uri)?;
        let issued_at = check_time(claims, expected.window, now)?;
        if let Some(binding) = expected.access_token {
            check_binding(claims, binding, thumbprint)?;
        }
        let nonce = read_nonce(claims)?;
        let nonce_of = check_nonce(nonce, expected.nonce, now)?;
        let body_hash = body_hash(claims)?;
        let digest = replay_digest(thumbprint, expected, jti);
        self.jws.verify(key).map_err(|_| DpopError::Signature)?;
        let proof = DpopProof { thumbprint, body_hash, nonce_of };
        // One second more than the window, because `iat` was cut to whole seconds.
        let forget_at = issued_at + expected.window.past + Duration::from_secs(1);
        Ok(Unspent::new(proof, ReplayEntry { digest, forget_at }))
    }
}

/// The text of a proof in its segments, if there is exactly one field.
pub(super) fn sole_field<'a>(
    fields: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Segments<'a>, DpopError> {
    let mut fields = fields.into_iter();
    let field = fields.next().ok_or(DpopError::Absent)?;
    if fields.next().is_some() {
        return Err(DpopError::Several);
    }
    let text = std::str::from_utf8(field).map_err(|_| JwsError::NotCompact)?;
    Ok(Segments::split(jws::MAX_LEN, text)?)
}

fn check_uri(htu: &str, expected: &TargetUri) -> Result<(), DpopError> {
    if htu == expected.as_str() {
        return Ok(());
    }
    match TargetUri::parse(htu) {
        Ok(uri) if uri == *expected => Ok(()),
        Ok(uri) if uri.differs_in_loopback_name(expected) => {
            let (here, named) = (expected.origin().to_owned(), uri.origin().to_owned());
            Err(DpopError::OtherName(Box::new(OtherName { here, named })))
        }
        Ok(_) | Err(_) => Err(DpopError::Uri),
    }
}

fn check_time(
    claims: Claims<'_>,
    window: ProofWindow,
    now: UnixTime,
) -> Result<UnixTime, DpopError> {
    let validity = Validity::read(claims)?;
    let issued_at = validity.issue()?;
    let whole_second = Duration::from_secs(1);
    if now >= issued_at + window.past + whole_second || validity.has_ended(Duration::ZERO, now) {
        return Err(DpopError::TooOld);
    }
    if validity.begins_after(now + window.future) {
        return Err(DpopError::FromTheFuture);
    }
    Ok(issued_at)
}

fn check_binding(
    claims: Claims<'_>,
    binding: TokenBinding,
    thumbprint: Thumbprint,
) -> Result<(), DpopError> {
    if claims.string("ath")? != Encoded32::new(&binding.ath).as_str() {
        return Err(DpopError::AccessToken);
    }
    (binding.jkt == thumbprint).then_some(()).ok_or(DpopError::OtherKey)
}

/// Some clients put an empty `nonce` or null into their first proof. They are answered like clients
/// that put none: with a nonce to use.
fn read_nonce(claims: Claims<'_>) -> Result<Option<&str>, DpopError> {
    claims.optional_string("nonce").map_err(|error| match error {
        _ if claims.is_blank("nonce") => DpopError::Nonce,
        error => error.into(),
    })
}

/// The epoch of the nonce; `None` where there is no nonce and need not be.
fn check_nonce(
    nonce: Option<&str>,
    rule: NonceRule<'_>,
    now: UnixTime,
) -> Result<Option<EpochId>, DpopError> {
    match (nonce, rule) {
        (None, NonceRule::IfPresent(_)) => Ok(None),
        (Some(nonce), NonceRule::Required(nonces) | NonceRule::IfPresent(nonces)) => {
            nonces.epoch_of(nonce, now).map(Some).ok_or(DpopError::Nonce)
        }
        (None, NonceRule::Required(_)) => Err(DpopError::Nonce),
    }
}

fn body_hash(claims: Claims<'_>) -> Result<Option<[u8; 32]>, ClaimError> {
    let Some(hash) = claims.optional_string(body_hash::CLAIM)? else { return Ok(None) };
    let malformed = ClaimError::Malformed(body_hash::CLAIM);
    body_hash::parse_sha256(hash).map(Some).ok_or(malformed)
}

/// A use is identified by key, method, URI and `jti`, so that one client's `jti` cannot use up
/// another's. The URI is normalised, so another spelling of it is the same use.
fn replay_digest(key: Thumbprint, expected: &DpopExpectations<'_>, jti: &str) -> [u8; 32] {
    sha256(&[
        b"dpop\0",
        key.as_bytes(),
        expected.method.as_bytes(),
        b"\0",
        expected.uri.as_str().as_bytes(),
        b"\0",
        jti.as_bytes(),
    ])
}

#[cfg(test)]
mod tests;
