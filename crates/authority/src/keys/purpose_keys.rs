//! The keys that secrets at rest are sealed with for one purpose: one that seals, and those that sealed
//! before it.

use countersign_protocol::envelope::aes_gcm::{OpenError, SealingKey};
use zeroize::Zeroizing;

/// One key for each root of the vault.
pub(crate) struct PurposeKeys {
    pub(super) newest: SealingKey,
    /// From newer to older.
    pub(super) older: Vec<SealingKey>,
}

impl PurposeKeys {
    /// Seals with the newest key ([`SealingKey::seal`]).
    pub(super) fn seal(&self, nonce: [u8; 12], identity: &[u8], plaintext: &[u8]) -> Vec<u8> {
        self.newest.seal(nonce, identity, plaintext)
    }

    /// Opens what any of the keys sealed.
    ///
    /// # Errors
    /// When none of them did, for this `nonce` and `identity`.
    pub(super) fn open(
        &self,
        nonce: [u8; 12],
        identity: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let open = |key: &SealingKey| key.open(nonce, identity, ciphertext);
        self.older.iter().fold(open(&self.newest), |opened, key| opened.or_else(|_| open(key)))
    }
}

#[cfg(test)]
impl From<SealingKey> for PurposeKeys {
    fn from(newest: SealingKey) -> Self {
        Self { newest, older: Vec::new() }
    }
}
