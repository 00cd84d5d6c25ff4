//! JWTs that a client signed itself, for one request: no token endpoint, no server secret.
//!
//! Such a JWT names its account in `sub` or `accountId` and ends soon. It is told apart from every
//! other kind of JWT here: its `typ` is absent or `JWT`, it is not by this server, and it lacks one
//! of `iss`, `aud` and `jti`, which an [assertion](crate::tokens::assertion) must have together, or
//! its `aud` is an API elsewhere and not the server that assertions are for.

use std::time::Duration;

use thiserror::Error;

use crate::{
    CLIENT_CLOCK_AHEAD, ReplayEntry, UnixTime, Unspent, Unverified,
    digest::sha256,
    keys::{Algorithm, PublicKey, Thumbprint},
    proofs::body_hash::{self, BodyHash, BodyHashes},
    tokens::{
        claims::{ClaimError, Claims},
        issue::ACCESS_TOKEN_TYPE,
        jws::{Jws, JwsError},
        validity::Validity,
    },
};

/// A self-signed JWT as it was presented: nothing in it is trusted until [`Self::verify`].
#[derive(Debug)]
pub struct PresentedSelfSigned<'a>(Unverified<Jws<'a>>);

/// What a self-signed JWT must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct SelfSignedExpectations<'a> {
    /// The issuer identifier of the authentication server, whose own JWTs are none of these.
    pub issuer: &'a str,
    /// What `aud` must be, where it is there.
    pub audience: &'a str,
    /// Whether `aud` must be there.
    pub require_audience: bool,
    /// For how long one counts: from `iat` on, whatever `exp` says beyond; or from now on where there
    /// is no `iat`, so that `exp` may lie no further ahead.
    pub max_lifetime: Duration,
    /// How far the clock of the client may be behind; it may be ahead by [`CLIENT_CLOCK_AHEAD`].
    pub skew: Duration,
    /// The body of the request, where it is known. Where it is not, a `tha` is refused.
    pub body: Option<&'a [u8]>,
    /// Which hashes of the body are accepted in `tha`.
    pub body_hashes: BodyHashes,
    /// Whether `tha` must be there.
    pub require_body_hash: bool,
}

/// What a verified self-signed JWT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfSigned {
    /// The key that signed it.
    pub thumbprint: Thumbprint,
    /// `iat`, cut to whole seconds.
    pub issued_at: Option<UnixTime>,
    /// When it ends: at `exp`, or sooner, when it has lived for as long as any may.
    pub expires_at: UnixTime,
    /// Whether `aud` names this server.
    pub names_server: bool,
    /// The hash function of `tha`, if it covers the body.
    pub body_hash: Option<BodyHash>,
    /// `tha`, where it is the SHA-256 of the body, which was compared. MD5 does not count here: it
    /// does not tell two bodies of one author apart.
    pub body_sha256: Option<[u8; 32]>,
}

impl<'a> PresentedSelfSigned<'a> {
    /// Parses the text of a JWT and sees that it does not say it is something else.
    ///
    /// # Errors
    /// When it is no JWT, or one of another type.
    pub fn parse(text: &'a str) -> Result<Self, SelfSignedError> {
        let jws = Jws::parse(text)?;
        match jws.content().typ() {
            None => Ok(Self(jws)),
            Some(typ) if typ.eq_ignore_ascii_case("JWT") => Ok(Self(jws)),
            Some(typ) if typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) => {
                Err(SelfSignedError::AccessToken)
            }
            Some(_) => Err(SelfSignedError::Type),
        }
    }

    /// The account that it claims to speak for: `sub`, `accountId`, or both if they are equal.
    ///
    /// # Errors
    /// When they are malformed or differ.
    pub fn account(&self) -> Result<Option<&str>, SelfSignedError> {
        let claims = self.claims();
        match (claims.optional_string("sub")?, claims.optional_string("accountId")?) {
            (Some(subject), Some(account)) if subject != account => {
                Err(SelfSignedError::TwoAccounts)
            }
            (subject, account) => Ok(subject.or(account)),
        }
    }

    /// The `kid` header parameter, to look a key or an account up by.
    pub fn kid(&self) -> Option<&str> {
        self.0.kid()
    }

    /// The algorithm that it says it is signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    /// Whether `key` can have made the signature, by its algorithm and its length.
    pub fn may_be_by(&self, key: &PublicKey) -> bool {
        self.0.may_be_by(key)
    }

    /// Whether it has a `tha`, so that the body is needed to verify it.
    pub fn has_body_hash(&self) -> bool {
        self.0.content().payload().contains_key(body_hash::CLAIM)
    }

    /// Checks issuer, audience, times and body, and then the signature, which must be by one of
    /// `keys`. Everything before the signature depends on the JWT alone, so that what a refusal
    /// says tells nobody which accounts exist.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify<'k>(
        self,
        keys: impl IntoIterator<Item = &'k PublicKey>,
        expected: &SelfSignedExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<SelfSigned>, SelfSignedError> {
        let claims = self.claims();
        check_issuer(claims, expected)?;
        check_audience(claims, expected)?;
        let (issued_at, expires_at) = check_time(claims, expected, now)?;
        let body_hash = check_body(claims, expected)?;
        let names_server = claims.has("aud");
        let body_sha256 =
            claims.optional_string(body_hash::CLAIM)?.and_then(body_hash::parse_sha256);
        let signed = self.0.signing_input();
        let verified = self.0.verify_by_any(keys);
        let (_, key) = verified.map_err(|_| SelfSignedError::Signature)?;
        let thumbprint = key.thumbprint();
        let jwt =
            SelfSigned { thumbprint, issued_at, expires_at, names_server, body_hash, body_sha256 };
        // Without the signature: from an ECDSA signature anybody can make another valid one.
        let digest = sha256(&[b"self-signed\0", thumbprint.as_bytes(), signed.as_bytes()]);
        let entry = ReplayEntry { digest, forget_at: expires_at + expected.skew };
        Ok(Unspent::new(jwt, entry))
    }

    fn claims(&self) -> Claims<'_> {
        Claims::new(self.0.content().payload())
    }
}

impl Unspent<SelfSigned> {
    /// Opens the value without recording it, for policies under which a self-signed JWT may be used
    /// until it expires. Anybody who sees one can use it for as long.
    pub fn until_expiry(self) -> SelfSigned {
        self.into_reusable()
    }
}

/// Refuses a JWT that the server itself issued, and an RFC 7523 assertion for the server: one with
/// `iss`, `aud` and `jti`. A JWT for an API elsewhere is no assertion.
fn check_issuer(
    claims: Claims<'_>,
    expected: &SelfSignedExpectations<'_>,
) -> Result<(), SelfSignedError> {
    let Some(issuer) = claims.optional_string("iss")? else { return Ok(()) };
    if issuer == expected.issuer {
        return Err(SelfSignedError::Issuer);
    }
    let is_here = expected.audience == expected.issuer;
    if is_here && claims.has("aud") && claims.has("jti") {
        return Err(SelfSignedError::Assertion);
    }
    Ok(())
}

/// Nobody else may be among the audience: they could use the JWT here in the client's name.
fn check_audience(
    claims: Claims<'_>,
    expected: &SelfSignedExpectations<'_>,
) -> Result<(), SelfSignedError> {
    if !claims.has("aud") && !expected.require_audience {
        return Ok(());
    }
    let only_this = claims.audience()?.into_iter().all(|name| name == expected.audience);
    let expected = || expected.audience.to_owned();
    only_this.then_some(()).ok_or_else(|| SelfSignedError::Audience { expected: expected() })
}

fn check_time(
    claims: Claims<'_>,
    expected: &SelfSignedExpectations<'_>,
    now: UnixTime,
) -> Result<(Option<UnixTime>, UnixTime), SelfSignedError> {
    let validity = Validity::read(claims)?;
    let claimed = validity.end()?;
    if validity.has_ended(expected.skew, now) {
        return Err(SelfSignedError::Expired);
    }
    let latest = now + expected.skew.max(CLIENT_CLOCK_AHEAD);
    if validity.begins_after(latest) {
        return Err(SelfSignedError::NotYetValid);
    }
    let allowed = expected.max_lifetime.as_secs();
    // With an iat a far exp does no harm: the JWT, and the memory of its use, end in time.
    let Some(start) = validity.issued_at else {
        let is_too_far = claimed > latest + expected.max_lifetime;
        return if is_too_far {
            Err(SelfSignedError::TooLongLived { allowed })
        } else {
            Ok((None, claimed))
        };
    };
    let expires_at = claimed.min(start + expected.max_lifetime);
    if now >= expires_at + expected.skew {
        return Err(SelfSignedError::TooOld { allowed });
    }
    Ok((Some(start), expires_at))
}

fn check_body(
    claims: Claims<'_>,
    expected: &SelfSignedExpectations<'_>,
) -> Result<Option<BodyHash>, SelfSignedError> {
    let hash = match claims.optional_string(body_hash::CLAIM)? {
        Some(hash) => hash,
        None if expected.require_body_hash => {
            return Err(ClaimError::Missing(body_hash::CLAIM).into());
        }
        None => return Ok(None),
    };
    let body = expected.body.ok_or(SelfSignedError::BodyUnseen)?;
    let function = expected.body_hashes.function_of(hash, body);
    function.map(Some).ok_or(SelfSignedError::BodyHash)
}

/// Why a self-signed JWT is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelfSignedError {
    /// It is an access token, which is bound to a key.
    #[error("an access token is presented with the DPoP scheme and a proof")]
    AccessToken,
    /// With `iss`, `aud` and `jti` it is an assertion for the token endpoint.
    #[error("a JWT with iss, aud and jti is an assertion for the token endpoint; leave out iss")]
    Assertion,
    /// `aud` names somebody else, or somebody else too.
    #[error(
        "aud does not name this server alone: put its identifier there, {expected}, letter by letter, and \
         nothing else"
    )]
    Audience {
        /// Its identifier: the issuer of an authentication server, the origin of an API.
        expected: String,
    },
    /// `tha` is not an accepted hash of the body.
    #[error("tha does not match the request's body")]
    BodyHash,
    /// There is a `tha`, but the verifier does not have the body.
    #[error("tha covers the body, which is not seen here; sign a JWT without tha")]
    BodyUnseen,
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// It has expired.
    #[error("the JWT has expired by the clock here, which the Date header tells; check the clock")]
    Expired,
    /// It names the server as its issuer.
    #[error(
        "iss names the server, whose tokens count here only if they are bound to a key, and with the \
         DPoP scheme; a JWT of the client's own names another issuer, or none"
    )]
    Issuer,
    /// It is no JWT.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// `tha` is MD5, and the account may not use that.
    #[error("tha is MD5, which counts for accounts of gradecoin only; use SHA-256")]
    Md5,
    /// It does not say which account it speaks for.
    #[error("the JWT names no account: sub is missing")]
    NoAccount,
    /// `iat` or `nbf` lies too far ahead.
    #[error(
        "iat or nbf lies in the future, more than {} s ahead of the clock here, which the Date header \
         tells; check the clock",
        CLIENT_CLOCK_AHEAD.as_secs()
    )]
    NotYetValid,
    /// No live key of the account that it names has signed it.
    #[error(
        "no live key of the named account has signed the JWT; where it has many, name one by kid"
    )]
    Signature,
    /// The body says that it comes from another account, or does not say from which.
    #[error(
        "source, in the JSON of the body, must be there and name the account that signed the JWT"
    )]
    Source,
    /// It would live longer than allowed, and does not say since when it has.
    #[error(
        "exp lies too far in the future: without iat at most {allowed} s ahead are accepted; with iat a \
         JWT counts for {allowed} s from there, whatever its exp"
    )]
    TooLongLived {
        /// How far ahead it may lie, in seconds.
        allowed: u64,
    },
    /// It has lived for as long as any may, whatever its `exp`.
    #[error(
        "the JWT was signed more than {allowed} s ago, as its iat says, and counts for no longer, \
         whatever its exp; sign another"
    )]
    TooOld {
        /// For how long after its `iat` one counts, in seconds.
        allowed: u64,
    },
    /// `sub` and `accountId` differ.
    #[error("sub and accountId name different accounts")]
    TwoAccounts,
    /// It is another kind of JWT.
    #[error("typ says that this is another kind of token")]
    Type,
}

#[cfg(test)]
mod tests;
