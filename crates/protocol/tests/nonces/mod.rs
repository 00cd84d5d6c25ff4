//! Nonces for tests in this directory that verify proofs.

use std::time::Duration;

use countersign_protocol::{
    UnixTime,
    challenges::sealed::{EpochNonces, NonceSealer},
    envelope::aes_gcm::SealingKey,
    replay::{EpochId, LogEpoch},
};

/// Nonces that live for `lifetime`, all of one epoch.
pub(crate) fn nonces(lifetime: Duration) -> EpochNonces {
    let epoch = LogEpoch { id: EpochId::from_bytes([1; 16]), since: UnixTime::EPOCH };
    EpochNonces::new(NonceSealer::new(SealingKey::from_bytes(&[7; 32]), lifetime), epoch)
}
