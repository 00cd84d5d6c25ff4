//! The roots of a vault. Every other secret of the server follows from one of them; the master key seals
//! the roots and nothing else, so that another master key costs the same however much is sealed.

use std::iter::once;

use countersign_protocol::{
    envelope::aes_gcm::{RootKey, SealingKey, SecretBytes},
    ports::Random,
};
use zeroize::Zeroizing;

use crate::keys::purpose_keys::PurposeKeys;

/// The length of a root, in bytes.
const ROOT: usize = 32;

/// What seals and opens is derived from the newest; the older ones open what was sealed before it came.
pub(super) struct Roots {
    newest: RootKey,
    /// From newer to older.
    older: Vec<RootKey>,
}

impl Roots {
    /// A random one.
    pub(super) fn fresh(random: &dyn Random) -> Self {
        Self::one(RootKey::new(SecretBytes::filled(|place| random.fill(place))))
    }

    /// No other than `root`.
    pub(super) const fn one(root: RootKey) -> Self {
        Self { newest: root, older: Vec::new() }
    }

    /// A random one in front of these.
    pub(super) fn with_another(self, random: &dyn Random) -> Self {
        let Self { newest: fresh, .. } = Self::fresh(random);
        Self { newest: fresh, older: once(self.newest).chain(self.older).collect() }
    }

    /// The root that everything new follows from.
    pub(super) const fn newest(&self) -> &RootKey {
        &self.newest
    }

    /// What seals for `purpose`, and opens what any of the roots has sealed for it.
    pub(super) fn keys(&self, purpose: &str) -> PurposeKeys {
        let older = self.older.iter().map(|root| root.derive(purpose)).collect();
        PurposeKeys { newest: self.newest.derive(purpose), older }
    }

    /// The roots one after the other, newest first, sealed with `key`.
    pub(super) fn seal(&self, key: &SealingKey, nonce: [u8; 12], salt: &[u8; 16]) -> Vec<u8> {
        // Sized up front: growing would leave a copy of the roots behind.
        let mut text = Zeroizing::new(Vec::with_capacity(ROOT * (1 + self.older.len())));
        for root in once(&self.newest).chain(&self.older) {
            text.extend_from_slice(root.reveal());
        }
        key.seal(nonce, salt, &text)
    }

    /// What [`Self::seal`] sealed, if `key` opens it.
    pub(super) fn open(
        key: &SealingKey,
        nonce: [u8; 12],
        salt: &[u8; 16],
        sealed: &[u8],
    ) -> Option<Self> {
        let text = key.open(nonce, salt, sealed).ok()?;
        let (roots, rest) = text.as_chunks::<ROOT>();
        let root = |bytes: &[u8; ROOT]| {
            RootKey::new(SecretBytes::filled(|place| place.copy_from_slice(bytes)))
        };
        let (newest, older) = roots.split_first().filter(|_| rest.is_empty())?;
        Some(Self { newest: root(newest), older: older.iter().map(root).collect() })
    }
}
