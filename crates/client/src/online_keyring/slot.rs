//! Slots: each holds the key of the content, for one way to open the keyring.

use countersign_protocol::envelope::aes_gcm::{SealingKey, SecretBytes};
use countersign_protocol::keyring_document::{Opener, Slot, SlotId};
use countersign_protocol::ports::{Random, random_bytes};

use super::content::ContentKey;
use super::error::DocumentError;

const NONCE_LEN: usize = 12;

/// The slot that holds `content_key`, encrypted under a key that comes from `secret`: the 64 bytes of
/// OPAQUE's export key for a password or a recovery code, the 32 bytes of the function's result for a
/// passkey.
pub fn wrap(
    (id, opener): (SlotId, Opener),
    secret: &[u8],
    content_key: &ContentKey,
    random: &dyn Random,
) -> Slot {
    let nonce: [u8; NONCE_LEN] = random_bytes(random);
    let key = wrapping_key(id, &opener, secret);
    let sealed = key.seal(nonce, &aad(id, &opener), content_key.reveal());
    let mut wrapped = [0; 60];
    wrapped[..NONCE_LEN].copy_from_slice(&nonce);
    wrapped[NONCE_LEN..].copy_from_slice(&sealed);
    Slot { id, opener, wrapped }
}

/// Decrypts the key of the content with the `secret` of [`wrap`].
///
/// # Errors
/// When `secret` is another one, or the slot was altered.
pub fn unwrap(slot: &Slot, secret: &[u8]) -> Result<ContentKey, DocumentError> {
    let damaged = DocumentError::Damaged("slot");
    let Some((nonce, sealed)) = slot.wrapped.split_first_chunk::<NONCE_LEN>() else {
        return Err(damaged);
    };
    let key = wrapping_key(slot.id, &slot.opener, secret);
    let Ok(opened) = key.open(*nonce, &aad(slot.id, &slot.opener), sealed) else {
        return Err(damaged);
    };
    let secret = SecretBytes::filled(|place| place.copy_from_slice(&opened));
    Ok(ContentKey::from_secret(secret))
}

fn wrapping_key(id: SlotId, opener: &Opener, secret: &[u8]) -> SealingKey {
    let info = format!("countersign keyring v2 {}", opener.kind());
    SealingKey::from_secret(secret, id.as_bytes(), &info)
}

fn aad(id: SlotId, opener: &Opener) -> Vec<u8> {
    format!("countersign keyring v2 slot {} {id}", opener.kind()).into_bytes()
}
