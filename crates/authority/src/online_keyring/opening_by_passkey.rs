//! Giving a keyring out to a passkey, which opens it by its PRF. The server has no part in the PRF; it
//! sees to it that a passkey of the account asks for this very request, with a touch of its owner.

use countersign_protocol::wire;
use thiserror::Error;

use super::OnlineKeyring;
use crate::{
    accounts::{
        signed_request::{SignedRequest, check_own_request},
        step_up_error::StepUpError,
    },
    model::{
        audit::{AuditEvent, EventKind, Fact},
        keyring::{KeyringDocument, Revision},
    },
    ports::{OpenKeyringError, OpenedBy},
};

impl OnlineKeyring {
    /// Gives the keyring of the account out, whoever asks, if a passkey of it allows that.
    ///
    /// # Errors
    /// When none does, there is no keyring, or the store fails.
    pub async fn open_by_passkey(
        &self,
        request: SignedRequest<'_>,
    ) -> Result<(Revision, KeyringDocument), OpenByPasskeyError> {
        let now = self.core.now();
        let SignedRequest { principal, address, .. } = request;
        let key = check_own_request(principal)?.thumbprint;
        if !request.body.is_empty() {
            return Err(StepUpError::UnexpectedBody.into());
        }
        let text = request.passkey.ok_or(OpenByPasskeyError::PasskeyNeeded)?;
        let account_id = principal.account_id;
        let admitted = self.core.admit_key(key).await;
        if admitted.is_err() {
            self.passkeys.use_up_unverified(request.answer(text, key), now).await;
        }
        admitted.map_err(StepUpError::from)?;
        let answer = self.passkeys.verify_answer(request.answer(text, key), now).await;
        let spent = answer.map_err(StepUpError::from)?.to_step_up();
        let event = AuditEvent::new(now, EventKind::KeyringOpened).account(account_id).key(key);
        let passkey = spent.passkey.thumbprint;
        let event = event.from(address).detail(format!("by passkey {passkey}"));
        let event = event.fact(Fact::AllowedBy, passkey.to_string());
        let by = OpenedBy::Passkey(spent);
        Ok(self.core.ports.store.open_keyring(account_id, by, event).await?)
    }
}

/// Why a keyring is not given out to a passkey.
#[derive(Debug, Error)]
pub enum OpenByPasskeyError {
    /// The request has no answer of a passkey.
    #[error(
        "this takes a passkey of the account, whatever signs the request: put its answer to a challenge of \
         {} into the header Passkey-Assertion",
        wire::path::PASSKEY_OPTIONS_STEP_UP
    )]
    PasskeyNeeded,
    /// The store refuses or failed.
    #[error(transparent)]
    Refused(#[from] OpenKeyringError),
    /// No passkey allows it.
    #[error(transparent)]
    StepUp(#[from] StepUpError),
}
