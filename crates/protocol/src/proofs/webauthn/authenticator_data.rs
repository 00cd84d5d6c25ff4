//! Authenticator data (WebAuthn §6.1): what the authenticator says, in the bytes that it signs.

use thiserror::Error;

use super::identifiers::{Aaguid, CredentialId, InvalidCredentialId};
use crate::{
    keys::{CoseKey, CoseKeyError},
    strict::cbor::{self, CborError, Key},
};

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED_CREDENTIAL: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

/// Whether a passkey can be, and is, copied to other devices (WebAuthn §6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// It stays in the one authenticator that made it.
    NotEligible,
    /// It may be copied, and has not been yet.
    Eligible,
    /// It has been copied: it is *synced*.
    BackedUp,
}

impl Backup {
    /// Whether it may be copied. This never changes in the life of a passkey.
    pub const fn is_eligible(self) -> bool {
        matches!(self, Self::Eligible | Self::BackedUp)
    }

    /// Whether it has been copied.
    pub const fn is_backed_up(self) -> bool {
        matches!(self, Self::BackedUp)
    }
}

/// Authenticator data, read.
#[derive(Debug)]
pub(super) struct AuthenticatorData {
    pub(super) rp_id_hash: [u8; 32],
    pub(super) user_present: bool,
    pub(super) user_verified: bool,
    pub(super) backup: Backup,
    pub(super) sign_count: u32,
    pub(super) attested: Option<AttestedCredential>,
}

/// The new passkey (WebAuthn §6.5.2).
#[derive(Debug)]
pub(super) struct AttestedCredential {
    pub(super) aaguid: Aaguid,
    pub(super) id: CredentialId,
    pub(super) key: CoseKey,
}

impl AuthenticatorData {
    /// Reads all of `bytes`. Extensions must have the right form, and mean nothing here.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AuthenticatorDataError> {
        let short = AuthenticatorDataError::TooShort;
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(short)?;
        let ([flags, counter @ ..], rest) = rest.split_first_chunk::<5>().ok_or(short)?;
        let has = |flag: u8| flags & flag != 0;
        let (attested, rest) = if has(ATTESTED_CREDENTIAL) {
            let (attested, rest) = AttestedCredential::parse(rest)?;
            (Some(attested), rest)
        } else {
            (None, rest)
        };
        let rest = if has(EXTENSIONS) { skip_extensions(rest)? } else { rest };
        if !rest.is_empty() {
            return Err(AuthenticatorDataError::Leftover(rest.len()));
        }
        let backup = match (has(BACKUP_ELIGIBLE), has(BACKED_UP)) {
            (false, false) => Backup::NotEligible,
            (true, false) => Backup::Eligible,
            (true, true) => Backup::BackedUp,
            (false, true) => return Err(AuthenticatorDataError::BackedUpButNotEligible),
        };
        Ok(Self {
            rp_id_hash: *rp_id_hash,
            user_present: has(USER_PRESENT),
            user_verified: has(USER_VERIFIED),
            backup,
            sign_count: u32::from_be_bytes(*counter),
            attested,
        })
    }
}

impl AttestedCredential {
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), AuthenticatorDataError> {
        let short = AuthenticatorDataError::NoCredential;
        let (aaguid, rest) = bytes.split_first_chunk::<16>().ok_or(short)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > CredentialId::MAX_LEN {
            return Err(InvalidCredentialId::TooLong(length).into());
        }
        let (id, rest) = rest.split_at_checked(length).ok_or(short)?;
        let id = CredentialId::try_from(id)?;
        let (key, rest) = cbor::parse_first(rest).map_err(AuthenticatorDataError::KeyCbor)?;
        let key = CoseKey::read(&key)?;
        Ok((Self { aaguid: Aaguid::from_bytes(*aaguid), id, key }, rest))
    }
}

fn skip_extensions(bytes: &[u8]) -> Result<&[u8], AuthenticatorDataError> {
    let (extensions, rest) =
        cbor::parse_first(bytes).map_err(AuthenticatorDataError::ExtensionsCbor)?;
    let is_identifier = |key: Key<'_>| matches!(key, Key::Text(_));
    match extensions.as_map() {
        Some(extensions) if extensions.keys().all(is_identifier) => Ok(rest),
        _ => Err(AuthenticatorDataError::ExtensionsForm),
    }
}

/// Why bytes are not authenticator data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthenticatorDataError {
    /// BS without BE.
    #[error("the authenticator says that the passkey is backed up (BS) and must not be (BE)")]
    BackedUpButNotEligible,
    /// The public key is not acceptable in its form.
    #[error(transparent)]
    CoseKey(#[from] CoseKeyError),
    /// The credential id is empty or too long.
    #[error(transparent)]
    CredentialId(#[from] InvalidCredentialId),
    /// The extensions are announced (ED) and are not CBOR.
    #[error("the extensions that the flag ED announces: {0}")]
    ExtensionsCbor(CborError),
    /// The extensions are not a map with names.
    #[error("the extensions that the flag ED announces are not a map from names")]
    ExtensionsForm,
    /// The public key is not CBOR.
    #[error("the public key in the authenticator data: {0}")]
    KeyCbor(CborError),
    /// More bytes than the flags announce.
    #[error("the authenticator data has {0} bytes more than its flags announce")]
    Leftover(usize),
    /// The passkey is announced (AT) and is not there.
    #[error("the authenticator data ends within the passkey that the flag AT announces")]
    NoCredential,
    /// Shorter than any.
    #[error("the authenticator data has less than 37 bytes")]
    TooShort,
}
