//! What the owner of a keyring may know of it without opening it.

use countersign_protocol::Principal;
use thiserror::Error;

use super::OnlineKeyring;
use crate::{
    accounts::own_records::{OwnRecordsError, check_made_for_server},
    model::keyring::{KeptRevision, KeyringSummary},
    ports::StoreError,
};

impl OnlineKeyring {
    /// Revision, size and slots of the keyring of the principal's account.
    ///
    /// # Errors
    /// When there is none, the proof was not made for this server, or the store fails.
    pub async fn summary(&self, principal: &Principal) -> Result<KeyringSummary, ListingError> {
        check_made_for_server(principal)?;
        let found = self.core.ports.store.keyring(principal.account_id).await?;
        found.ok_or(ListingError::NoKeyring)
    }

    /// Its earlier contents, newest first.
    ///
    /// # Errors
    /// Those of [`Self::summary`].
    pub async fn revisions(
        &self,
        principal: &Principal,
    ) -> Result<Vec<KeptRevision>, ListingError> {
        check_made_for_server(principal)?;
        let found = self.core.ports.store.keyring_revisions(principal.account_id).await?;
        found.ok_or(ListingError::NoKeyring)
    }
}

/// Why nothing is told.
#[derive(Debug, Error)]
pub enum ListingError {
    /// There is no keyring.
    #[error("the account has no online keyring")]
    NoKeyring,
    /// The proof does not do for reading.
    #[error(transparent)]
    Proof(#[from] OwnRecordsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
