//! The revocation feed: one signed statement of what an issuer revoked before its time, for
//! resource servers that verify tokens by themselves.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::{
    AccountId, UnixTime, Unverified,
    keys::{Algorithm, PrivateKey, PublicKey, SignError, Thumbprint},
    strict::json::{Member, Object},
    tokens::{
        claims::{ClaimError, Claims},
        jws::{self, Jws, JwsError},
        validity::Validity,
    },
};

/// The `typ` of the feed, with the number of its version. A reader that does not know the version
/// refuses the feed, because a member that it ignored would be a revocation that it misses.
pub const REVOCATIONS_TYPE: &str = "countersign-revocations-2+jwt";

/// The longest feed that is read, in bytes: room for about 60 000 entries.
pub const MAX_LEN: usize = 4 * 1024 * 1024;

/// A longer `jti` is refused.
const MAX_TOKEN_ID: usize = 512;

/// What an issuer revoked before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    /// `iss`: whose tokens, keys and accounts these are.
    pub issuer: String,
    /// `iat`: everything that was revoked before is here.
    pub issued_at: UnixTime,
    /// `exp`: from then on this says nothing about the present.
    pub expires_at: UnixTime,
    /// `seq`: grows with what is revoked. A feed with a smaller one lacks something. Older servers do not
    /// say it.
    pub sequence: Option<u64>,
    /// `before`: every token that was issued up to then, in whole seconds, counts as revoked, because
    /// more was revoked than can be listed.
    pub before: Option<UnixTime>,
    /// `keys_before`: keys that were revoked and accounts that were disabled up to then may be
    /// missing from the lists. Their tokens fall under `before`; a resource server that caches keys
    /// of accounts must fetch them again.
    pub keys_before: Option<UnixTime>,
    /// `tokens`: the `jti` of each token that was revoked and has not ended by itself.
    pub tokens: Vec<String>,
    /// `keys`: the revoked credentials whose tokens may not have expired yet.
    pub keys: Vec<Thumbprint>,
    /// `accounts`: the disabled accounts whose tokens may not have expired yet.
    pub accounts: Vec<AccountId>,
    /// `accounts_before`: accounts with so many revocations that all their tokens issued up to that
    /// time, in whole seconds, count as revoked. A resource server that caches their keys must
    /// fetch them again.
    pub accounts_before: Vec<(AccountId, UnixTime)>,
}

/// Signs `revocations` with the issuer's signing key `key`, whose thumbprint becomes the `kid`.
///
/// # Errors
/// When the key cannot sign with `algorithm`.
pub fn sign(
    revocations: &Revocations,
    key: &PrivateKey,
    algorithm: Algorithm,
) -> Result<String, SignError> {
    let accounts_before =
        revocations.accounts_before.iter().map(|(id, before)| (*id, before.as_secs())).collect();
    let payload = Payload {
        accounts: &revocations.accounts,
        accounts_before,
        before: revocations.before.map(UnixTime::as_secs),
        exp: revocations.expires_at.as_secs(),
        iat: revocations.issued_at.as_secs(),
        iss: &revocations.issuer,
        keys: &revocations.keys,
        keys_before: revocations.keys_before.map(UnixTime::as_secs),
        seq: revocations.sequence,
        tokens: &revocations.tokens,
    };
    jws::sign_typed(REVOCATIONS_TYPE, key, algorithm, &payload)
}

/// The claims as they are written.
#[derive(Serialize)]
struct Payload<'a> {
    accounts: &'a [AccountId],
    accounts_before: Vec<(AccountId, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    exp: u64,
    iat: u64,
    iss: &'a str,
    keys: &'a [Thumbprint],
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    tokens: &'a [String],
}

/// A feed as it was fetched: nothing in it is trusted until [`Self::verify`].
#[derive(Debug)]
pub struct SignedRevocations<'a>(Unverified<Jws<'a>>);

impl<'a> SignedRevocations<'a> {
    /// Parses the text of a feed.
    ///
    /// # Errors
    /// When it is not a JWT at all, or longer than [`MAX_LEN`].
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        Jws::parse_up_to(MAX_LEN, text).map(Self)
    }

    /// The thumbprint of the signing key that the feed claims to be signed by.
    pub fn kid(&self) -> Option<Thumbprint> {
        self.0.kid()?.parse().ok()
    }

    /// Checks signature, type, issuer and time. `skew` is how far the clocks of issuer and verifier
    /// may be apart. The verifier decides by `issued_at` how old a feed may be.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        self,
        key: &PublicKey,
        issuer: &str,
        skew: Duration,
        now: UnixTime,
    ) -> Result<Revocations, RevocationsError> {
        let jws = self.0.verify(key).map_err(|_| RevocationsError::Signature)?;
        if !jws.typ().is_some_and(|typ| typ.eq_ignore_ascii_case(REVOCATIONS_TYPE)) {
            return Err(RevocationsError::Type);
        }
        let revocations = read(jws.payload())?;
        if revocations.issuer != issuer {
            return Err(RevocationsError::Issuer);
        }
        let validity = Validity {
            issued_at: Some(revocations.issued_at),
            not_before: None,
            expires_at: Some(revocations.expires_at),
        };
        if validity.has_ended(skew, now) {
            return Err(RevocationsError::Expired);
        }
        if validity.begins_after(now + skew) {
            return Err(RevocationsError::FromTheFuture);
        }
        Ok(revocations)
    }
}

fn read(payload: &Object) -> Result<Revocations, ClaimError> {
    let claims = Claims::new(payload);
    let is_token_id = |id: &&str| !id.is_empty() && id.len() <= MAX_TOKEN_ID;
    Ok(Revocations {
        issuer: claims.string("iss")?.to_owned(),
        issued_at: claims.date("iat")?,
        expires_at: claims.date("exp")?,
        sequence: optional_whole_number(payload, "seq")?,
        before: claims.optional_date("before")?,
        keys_before: claims.optional_date("keys_before")?,
        tokens: list(payload, "tokens", |id| id.as_str().filter(is_token_id).map(str::to_owned))?,
        keys: list(payload, "keys", |key| key.as_str()?.parse().ok())?,
        accounts: list(payload, "accounts", account)?,
        accounts_before: list(payload, "accounts_before", account_before)?,
    })
}

fn optional_whole_number(payload: &Object, name: &'static str) -> Result<Option<u64>, ClaimError> {
    match payload.get(name) {
        None => Ok(None),
        Some(Member::Other(Value::Number(number))) => {
            number.as_u64().map(Some).ok_or(ClaimError::Malformed(name))
        }
        Some(_) => Err(ClaimError::Malformed(name)),
    }
}

fn account(id: &Value) -> Option<AccountId> {
    id.as_str()?.parse().ok()
}

/// An account's id and a time, in whole seconds.
fn account_before(pair: &Value) -> Option<(AccountId, UnixTime)> {
    let [id, before] = pair.as_array()?.as_slice() else { return None };
    let before = before.as_u64().filter(|secs| *secs <= UnixTime::MAX_SECS)?;
    Some((account(id)?, UnixTime::from_secs(before)))
}

/// A member that must be an array. `parse` must understand every entry, because an entry that is
/// skipped would be a revocation that is missed.
fn list<T>(
    payload: &Object,
    name: &'static str,
    parse: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, ClaimError> {
    let value = payload.get(name).ok_or(ClaimError::Missing(name))?;
    let items = value.as_array().ok_or(ClaimError::Malformed(name))?;
    let parsed = items.iter().map(parse);
    parsed.collect::<Option<_>>().ok_or(ClaimError::Malformed(name))
}

/// Why a feed is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RevocationsError {
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// It has expired.
    #[error("the revocation feed has expired")]
    Expired,
    /// It was issued later than now.
    #[error("the revocation feed is from the future")]
    FromTheFuture,
    /// Somebody else issued it.
    #[error("the revocation feed is from another issuer")]
    Issuer,
    /// The signature is not by the issuer's key.
    #[error("the revocation feed's signature is wrong")]
    Signature,
    /// It is another kind of JWT.
    #[error("not a revocation feed: its typ says otherwise")]
    Type,
}

#[cfg(test)]
mod tests;
