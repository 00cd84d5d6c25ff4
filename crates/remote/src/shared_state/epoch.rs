//! The identity of a file: the secret of its nonces, and the moment from which it remembers used
//! proofs.
//!
//! ```text
//! form (8) | inode (8) | boot id (16) | secret (32) | begun at (8, milliseconds) | zeros
//! ```

use std::array;

use countersign_protocol::{
    UnixTime,
    challenges::sealed::EpochNonces,
    digest::sha256,
    envelope::aes_gcm::SealingKey,
    ports::{Random, random_bytes},
    replay::{EpochId, LogEpoch},
};

use super::ring::{IDENTITY, Identity};
use crate::nonce_key::NonceKey;

/// The format of the file, and its version.
const FORM: [u8; 8] = *b"csproof1";
const SECRET: usize = 32;
const BEGUN_AT: usize = 64;

/// The time in which one file remembers everything.
pub(super) struct Epoch {
    pub(super) identity: Identity,
    /// Which it is for the replay log, and from when on.
    pub(super) of_log: LogEpoch,
    pub(super) nonces: EpochNonces,
}

impl Epoch {
    /// The epoch of the file with this identity.
    pub(super) fn of(identity: Identity, nonce_key: &NonceKey) -> Self {
        let secret = array::from_fn(|place| identity[SECRET + place]);
        let begun_at = array::from_fn(|place| identity[BEGUN_AT + place]);
        let since = UnixTime::from_millis(u64::from_le_bytes(begun_at));
        let digest = sha256(&[b"countersign shared state\0", &identity]);
        let id = EpochId::from_bytes(array::from_fn(|place| digest[place]));
        let of_log = LogEpoch { id, since };
        let sealer = nonce_key.sealer(SealingKey::from_bytes(&secret));
        Self { identity, of_log, nonces: EpochNonces::new(sealer, of_log) }
    }
}

/// An identity that no file had before.
pub(super) fn identity(
    inode: u64,
    boot_id: &[u8; 16],
    now: UnixTime,
    random: &dyn Random,
) -> Identity {
    let mut identity = [0; IDENTITY];
    identity[..SECRET].copy_from_slice(&written_as(inode, boot_id));
    identity[SECRET..BEGUN_AT].copy_from_slice(&random_bytes::<32>(random));
    identity[BEGUN_AT..BEGUN_AT + 8].copy_from_slice(&now.as_millis().to_le_bytes());
    identity
}

/// Whether `identity` was written to the file `inode`, and since the machine was started: a copy may
/// lack what was used later, and so may a file that a crash of the machine has left.
pub(super) fn is_of(identity: &Identity, inode: u64, boot_id: &[u8; 16]) -> bool {
    identity.starts_with(&written_as(inode, boot_id))
}

fn written_as(inode: u64, boot_id: &[u8; 16]) -> [u8; SECRET] {
    let mut bytes = [0; SECRET];
    bytes[..8].copy_from_slice(&FORM);
    bytes[8..16].copy_from_slice(&inode.to_le_bytes());
    bytes[16..].copy_from_slice(boot_id);
    bytes
}
