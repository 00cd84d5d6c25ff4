//! What nonces are made with, on one machine and on several.

use std::time::Duration;

use countersign_protocol::{
    challenges::sealed::NonceSealer, digest::sha256, envelope::aes_gcm::SealingKey,
};

/// For how long a nonce works.
const NONCE_LIFETIME: Duration = Duration::from_mins(5);

/// The key of nonces.
pub(crate) struct NonceKey {
    /// Set if several machines share the key.
    secret: Option<SealingKey>,
    /// How far their clocks may be apart.
    skew: Duration,
}

impl NonceKey {
    /// Derived from `secret`, which several machines share, if there is one.
    pub(crate) fn new(secret: Option<&NonceSecret>, skew: Duration) -> Self {
        let secret = secret.map(|NonceSecret(key)| key.derive("guard nonces"));
        Self { secret, skew }
    }

    /// What makes nonces; `own` is a secret that nobody had before.
    pub(crate) fn sealer(&self, own: SealingKey) -> NonceSealer {
        match &self.secret {
            None => NonceSealer::new(own, NONCE_LIFETIME),
            Some(secret) => NonceSealer::new(secret.derive("machines"), NONCE_LIFETIME)
                .of_several_machines(self.skew),
        }
    }
}

/// A secret that several machines know.
pub(crate) struct NonceSecret(SealingKey);

impl NonceSecret {
    /// The least length, in bytes: a shorter one could be guessed.
    pub(crate) const LEAST: usize = 32;

    /// None if `secret` is too short.
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= Self::LEAST).then(|| Self(SealingKey::from_bytes(&sha256(&[secret]))))
    }
}
