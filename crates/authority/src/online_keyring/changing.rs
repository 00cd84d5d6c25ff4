//! Changing the content of a keyring, and going back to an earlier one.
//!
//! A change needs no touch, or nobody would keep the online keyring up to date. So a script of strangers
//! in a page could replace the content by nonsense; it cannot read it. That is why each content that is
//! replaced is kept, and why a change needs a step-up that would push out what was replaced lately or bring
//! an earlier content back, which the script may have seen when it was sent.

use std::net::IpAddr;

use countersign_protocol::{Principal, ProvenKey, keys::Thumbprint};
use thiserror::Error;

use super::{OnlineKeyring, storing::TooLarge};
use crate::{
    accounts::{
        signed_request::{MustSign, check_own_request},
        step_up::{Change, Operation},
        step_up_error::StepUpError,
    },
    model::{
        audit::{AuditEvent, ChangeCode, EventKind, Fact},
        credential_kind::CredentialKind,
        keyring::{Keeping, KeyringContent, KeyringPolicy, Leave, Revision},
        keyring_growth::KeyringTooLarge,
        limits::NotAdmitted,
    },
    ports::{ChangeKeyringError, NewContent, Permit, Restoration, StoreError},
};

/// Replaces the content of one's keyring where that needs a step-up: [`OnlineKeyring::change_content`] says
/// when.
#[derive(Debug)]
pub struct ReplaceContent {
    /// The number of the content that it takes the place of.
    pub replaces: Revision,
    /// The content.
    pub content: KeyringContent,
}

impl Operation for ReplaceContent {
    const NAME: &'static str = "changing the content of the keyring";
    const CODE: ChangeCode = ChangeCode::ChangeKeyring;
    const MUST_SIGN: MustSign = MustSign::UrlAndBody;
    // An earlier content goes for each that comes.
    const COUNTS_BY_DAY: bool = false;
    const WITHDRAWS: bool = false;

    fn key(&self) -> Option<Thumbprint> {
        None
    }
}

/// Makes an earlier content of one's keyring the content again.
#[derive(Clone, Copy, Debug)]
pub struct RestoreKeyring {
    /// The number of the earlier content.
    pub revision: Revision,
    /// The number of the content that it takes the place of.
    pub replaces: Revision,
}

impl Operation for RestoreKeyring {
    const NAME: &'static str = "restoring the keyring";
    const CODE: ChangeCode = ChangeCode::RestoreKeyring;
    const MUST_SIGN: MustSign = MustSign::Url;
    const COUNTS_BY_DAY: bool = true;
    const WITHDRAWS: bool = false;

    fn key(&self) -> Option<Thumbprint> {
        None
    }
}

impl OnlineKeyring {
    /// Replaces the content of the keyring of the principal's account, whose number is `replaces`. Nothing
    /// that was replaced lately is lost by it, and no earlier content comes back.
    ///
    /// # Errors
    /// [`ChangeContentError::StepUpNeeded`] where only [`Self::replace_content`] does it; else the first
    /// rule that does not hold. Then nothing has changed.
    pub async fn change_content(
        &self,
        principal: &Principal,
        (replaces, content): (Revision, KeyringContent),
        address: IpAddr,
    ) -> Result<Revision, ChangeContentError> {
        let key = check_own_request(principal)?;
        self.check_size(&content)?;
        if !self.is_key_or_browser(key).await? {
            return Err(WhyStepUp::Kind.into());
        }
        let account_id = principal.account_id;
        self.core.admit_key(key.thumbprint).await?;
        let now = self.core.now();
        let event = AuditEvent::new(now, EventKind::KeyringContentChanged);
        let event = event.account(account_id).key(key.thumbprint).from(address);
        let KeyringPolicy { keeping, growth, .. } = self.core.policy.keyrings;
        let change = NewContent {
            account_id,
            replaces,
            content,
            keeping,
            growth,
            forgets_up_to: self.core.forgets_up_to(),
            leave: Leave::Lacking,
            event,
            permit: Permit { signer: Some(key), step_up: None },
        };
        match self.write_counted(change, address).await {
            Err(ChangeContentError::Refused(ChangeKeyringError::HistoryFull(keeping))) => {
                Err(WhyStepUp::HistoryFull(keeping).into())
            }
            Err(ChangeContentError::Refused(ChangeKeyringError::Known(revision))) => {
                Err(WhyStepUp::Known(revision).into())
            }
            Err(ChangeContentError::Refused(ChangeKeyringError::NoGrowth(bound))) => {
                Err(WhyStepUp::NoGrowth(bound).into())
            }
            changed => changed,
        }
    }

    /// Replaces the content, with the leave of the owner. If there is no room, as few earlier contents as
    /// possible go, those first that were there for the shortest time. The content may be an earlier one.
    ///
    /// # Errors
    /// When there is another content than was to be replaced, there was too much to write, or the store
    /// fails.
    pub async fn replace_content(
        &self,
        change: Change<ReplaceContent>,
    ) -> Result<Revision, ChangeContentError> {
        let event = change.own_event(EventKind::KeyringContentChanged, None);
        let Change { operation, author, address, permit, .. } = change;
        let ReplaceContent { replaces, content } = operation;
        self.check_size(&content)?;
        let KeyringPolicy { keeping, growth, .. } = self.core.policy.keyrings;
        let change = NewContent {
            account_id: author.account_id,
            replaces,
            content,
            keeping,
            growth,
            forgets_up_to: self.core.forgets_up_to(),
            leave: Leave::Given,
            event,
            permit,
        };
        self.write_counted(change, address).await
    }

    /// Whether `key` is itself the credential of a program or a browser, and not a key that some other
    /// credential has vouched for.
    async fn is_key_or_browser(&self, key: ProvenKey) -> Result<bool, StoreError> {
        let known =
            self.core.credentials.get(&key.credential, self.core.up_to_date().await?).await?;
        let is_own_kind = known.is_some_and(|known| match known.credential.kind {
            CredentialKind::Key | CredentialKind::Browser => true,
            CredentialKind::Mutual | CredentialKind::Passkey => false,
        });
        Ok(is_own_kind && key.credential == key.thumbprint)
    }

    /// Makes an earlier content the content again, under a new number. The present content is kept if there
    /// is room for it. Else it is lost, so it must be the one that the owner has said.
    ///
    /// # Errors
    /// When the earlier content is not kept, there is another content than was to be replaced, or the store
    /// fails.
    pub async fn restore(
        &self,
        change: Change<RestoreKeyring>,
    ) -> Result<Revision, ChangeKeyringError> {
        let RestoreKeyring { revision, replaces } = change.operation;
        let detail = format!("revision {revision}");
        let event = change.own_event(EventKind::KeyringRestored, Some(&detail));
        let event = event.fact(Fact::Revision, revision.to_string());
        let Change { author, address, permit, .. } = change;
        let account_id = author.account_id;
        let KeyringPolicy { keeping, growth, .. } = self.core.policy.keyrings;
        let restoration = Restoration {
            account_id,
            revision,
            replaces,
            keeping,
            growth,
            forgets_up_to: self.core.forgets_up_to(),
            event,
            permit,
        };
        let restored = self.core.ports.store.restore_keyring(restoration).await;
        self.core.settle_key_change((account_id, address), &restored).await;
        restored
    }
}

/// Why the content stays.
#[derive(Debug, Error)]
pub enum ChangeContentError {
    /// There was too much to write.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The store refuses or failed.
    #[error(transparent)]
    Refused(#[from] ChangeKeyringError),
    /// The proof is too weak.
    #[error(transparent)]
    StepUp(#[from] StepUpError),
    /// It takes a step-up.
    #[error(transparent)]
    StepUpNeeded(#[from] WhyStepUp),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is too long.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// Why a change of the content takes a step-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WhyStepUp {
    /// An earlier content that was replaced lately would go.
    #[error("{0}; with a step-up the one goes that was there for the shortest time")]
    HistoryFull(Keeping),
    /// The content is an earlier one.
    #[error("the nonce is the nonce of revision {0}, so this brings an earlier content back")]
    Known(Revision),
    /// The key is none that proves requests for itself.
    #[error("this change is by neither a key nor a remembered browser of the account")]
    Kind,
    /// An earlier content of the account would go, because of what all keyrings have together.
    #[error("{0}; with a step-up an earlier content of this keyring goes instead")]
    NoGrowth(KeyringTooLarge),
}
