//! Who may send a large body, judged before it is received.
//!
//! A large body takes a place of its account for as long as it arrives. So everything about the principal
//! that decides about the request is looked at before, and not only with the body: who has less than a key
//! of the account takes no place of its keys.

use std::net::IpAddr;

use countersign_protocol::Principal;

use crate::{
    accounts::{Accounts, signed_request::check_own_request, step_up_error::StepUpError},
    model::{
        audit::{AuditEvent, ChangeCode, EventKind, Fact},
        credential_kind::CredentialKind,
    },
};

/// Who sends a large body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySender {
    /// A key of the account itself.
    Key,
    /// A key that changes something only with the answer of a passkey, which covers the body.
    WithPasskey,
}

impl Accounts {
    /// Who sends a large body with a request of `principal`, which has the answer of a passkey if
    /// `has_answer`. The answer can only be verified with the body.
    ///
    /// # Errors
    /// When the request is refused whatever its body is.
    pub async fn sender_of_large_body(
        &self,
        principal: &Principal,
        has_answer: bool,
        address: IpAddr,
    ) -> Result<BodySender, StepUpError> {
        let decided = self.decide_about_sender(principal, has_answer).await;
        if let Err(error) = &decided
            && error.is_of_consequence()
        {
            let event = AuditEvent::new(self.core.now(), EventKind::KeyChangeRefused);
            let event = event.account(principal.account_id).from(address);
            let event = event.fact(Fact::Change, ChangeCode::ChangeKeyring.name());
            let event = event.because(error.reason());
            let event = event.detail(format!("writing the keyring: {error}"));
            self.core.pending_events.note(event);
        }
        decided
    }

    async fn decide_about_sender(
        &self,
        principal: &Principal,
        has_answer: bool,
    ) -> Result<BodySender, StepUpError> {
        let key = check_own_request(principal)?;
        let current = self.core.up_to_date().await?;
        let known = self.core.credentials.get(&key.credential, current).await?;
        let kind = known.map(|known| known.credential.kind);
        let is_passkey = kind == Some(CredentialKind::Passkey);
        if key.credential != key.thumbprint && !is_passkey {
            return Err(StepUpError::SessionKey);
        }
        match kind {
            Some(CredentialKind::Key | CredentialKind::Browser) => Ok(BodySender::Key),
            Some(CredentialKind::Mutual | CredentialKind::Passkey) if has_answer => {
                Ok(BodySender::WithPasskey)
            }
            Some(CredentialKind::Mutual)
                if !self.passkeys.has_any(principal.account_id).await? =>
            {
                Err(StepUpError::MutualKey)
            }
            Some(CredentialKind::Mutual | CredentialKind::Passkey) => {
                Err(StepUpError::PasskeyNeeded)
            }
            // The password has vouched for the key, which is enough where the account has no other.
            None => {
                let now = self.core.now();
                let live = self.core.credentials.of_account(principal.account_id, current, now);
                live.await?.is_empty().then_some(BodySender::Key).ok_or(StepUpError::Password)
            }
        }
    }
}
