//! Signing keys as they lie in the database.

use std::sync::Arc;

use countersign_protocol::{
    keys::{Algorithm, KeyPolicy, PrivateKey, Thumbprint},
    ports::{Random, random_bytes},
};

use crate::{
    keys::{error::SigningKeyError, loaded::LoadedKey, purpose_keys::PurposeKeys},
    model::key_life::{KeyLife, SealedSigningKey},
};

/// The name of their keys in the vault.
pub(super) const PURPOSE: &str = "signing keys";

/// Seals `key` for the `life` that it is to have.
pub(super) fn seal(
    &LoadedKey { kid, signs, algorithm, ref key, .. }: &LoadedKey,
    life: KeyLife,
    sealing: &PurposeKeys,
    random: &dyn Random,
) -> SealedSigningKey {
    let nonce = random_bytes(random);
    let ciphertext = sealing.seal(nonce, &identity(kid, algorithm, life), &key.to_pkcs8_der());
    SealedSigningKey { kid, signs, algorithm, life, ciphertext, nonce }
}

pub(super) fn unseal(
    sealed: &SealedSigningKey,
    sealing: &PurposeKeys,
) -> Result<zeroize::Zeroizing<Vec<u8>>, SigningKeyError> {
    let identity = identity(sealed.kid, sealed.algorithm, sealed.life);
    let opened = sealing.open(sealed.nonce, &identity, &sealed.ciphertext);
    opened.map_err(|_| SigningKeyError::Damaged(sealed.kid))
}

pub(super) fn open(
    sealed: &SealedSigningKey,
    sealing: &PurposeKeys,
) -> Result<LoadedKey, SigningKeyError> {
    let document = unseal(sealed, sealing)?;
    let key = PrivateKey::from_pkcs8_der(&document, &KeyPolicy::default())?;
    if key.public_key().thumbprint() != sealed.kid {
        return Err(SigningKeyError::Damaged(sealed.kid));
    }
    Ok(LoadedKey {
        kid: sealed.kid,
        signs: sealed.signs,
        algorithm: sealed.algorithm,
        life: sealed.life,
        key: Arc::new(key),
    })
}

/// Binds a ciphertext to its row, so that neither key nor life can be exchanged in the database.
/// The kind of tokens that the key signs is not bound: a key that is moved from one table to the
/// other still signs for the same server.
fn identity(kid: Thumbprint, algorithm: Algorithm, life: KeyLife) -> Vec<u8> {
    let mut identity = b"countersign signing key\0".to_vec();
    identity.extend_from_slice(kid.as_bytes());
    identity.extend_from_slice(algorithm.name().as_bytes());
    for time in [life.created_at, life.active_from, life.retired_from, life.expires_at] {
        identity.extend_from_slice(&time.as_millis().to_be_bytes());
    }
    identity
}
