//! Secrets of the server, sealed at rest: each kind under a key of its own, bound to what it is for.

use countersign_protocol::{
    AccountId,
    ports::{Random, random_bytes},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    keys::{purpose_keys::PurposeKeys, vault::Vault},
    model::key_life::SealedServerKey,
};

/// Which secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretKind {
    /// The key pair by which the server proves itself to one account.
    OfAccount(AccountId),
    /// The key pair of sealed registrations.
    Registration,
    /// The server's part in the passwords of online keyrings (OPAQUE). It is never replaced by another:
    /// no password that was registered would open anything any more.
    Opaque,
}

impl SecretKind {
    /// The keys that it is sealed with.
    pub(crate) fn keys(self, vault: &Vault) -> PurposeKeys {
        vault.keys(match self {
            Self::OfAccount(_) => "server keys",
            Self::Registration => "registration key",
            Self::Opaque => "opaque setup",
        })
    }

    /// Seals `document`: PKCS#8 of a key pair, or the bytes of the OPAQUE setup.
    pub(crate) fn seal(
        self,
        keys: &PurposeKeys,
        document: &[u8],
        random: &dyn Random,
    ) -> SealedServerKey {
        let nonce = random_bytes(random);
        SealedServerKey { ciphertext: keys.seal(nonce, &self.identity(), document), nonce }
    }

    /// Opens what [`Self::seal`] sealed as the same kind.
    ///
    /// # Errors
    /// When it was altered, or sealed otherwise.
    pub(crate) fn open(
        self,
        keys: &PurposeKeys,
        sealed: &SealedServerKey,
    ) -> Result<Zeroizing<Vec<u8>>, DamagedSecret> {
        keys.open(sealed.nonce, &self.identity(), &sealed.ciphertext).map_err(|_| match self {
            Self::OfAccount(account) => DamagedSecret::OfAccount(account),
            Self::Registration => DamagedSecret::Registration,
            Self::Opaque => DamagedSecret::Opaque,
        })
    }

    /// What binds a ciphertext to its use: secrets cannot be exchanged in the database.
    fn identity(self) -> Vec<u8> {
        match self {
            Self::OfAccount(account) => {
                [b"countersign server key\0", &account.as_bytes()[..]].concat()
            }
            Self::Registration => b"countersign registration key\0".to_vec(),
            Self::Opaque => b"countersign opaque setup\0".to_vec(),
        }
    }
}

/// A row was altered, or belongs to another master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DamagedSecret {
    /// The key pair for one account.
    #[error("the key pair for account {0} is damaged: it does not open with the master key")]
    OfAccount(AccountId),
    /// The key pair of sealed registrations.
    #[error("the registration key is damaged: it does not open with the master key")]
    Registration,
    /// The secret of online keyrings.
    #[error("the secret of online keyrings is damaged: it does not open with the master key")]
    Opaque,
}
