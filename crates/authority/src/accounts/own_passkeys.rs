//! An account's own passkeys: add one. They are listed, renamed and revoked like all keys.

use countersign_protocol::{Principal, UnixTime, challenges::passkeys::Expected, keys::Thumbprint};
use thiserror::Error;

use crate::{
    accounts::{
        Accounts,
        signed_request::MustSign,
        step_up::{Change, Operation},
    },
    model::{
        audit::{ChangeCode, EventKind},
        credential::Credential,
        credential_kind::CredentialKind,
        passkey::Passkey,
    },
    passkeys::registration::{NewPasskeyError, PresentedPasskey},
    ports::{
        AddCredentialError, AddPasskeyError, KeyLimits, NewPasskey, OwnPasskey, RecordLoginError,
        StoreError,
    },
};

/// Lets a passkey log in to one's account.
#[derive(Clone, Copy, Debug)]
pub struct AddPasskey {
    /// The key of the browser that made it, which signs the request.
    pub browser: Thumbprint,
}

impl Operation for AddPasskey {
    const NAME: &'static str = "adding a passkey";
    const CODE: ChangeCode = ChangeCode::AddPasskey;
    const MUST_SIGN: MustSign = MustSign::UrlAndBody;
    const COUNTS_BY_DAY: bool = true;
    const WITHDRAWS: bool = false;

    fn key(&self) -> Option<Thumbprint> {
        None
    }
}

impl Accounts {
    /// The passkeys of the principal's account: the live ones, and those that were revoked last, oldest
    /// first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_passkeys(&self, principal: &Principal) -> Result<Vec<OwnPasskey>, StoreError> {
        self.core.ports.store.passkeys_of(principal.account_id).await
    }

    /// Adds a passkey to the account, which a browser has made with the challenge that it asked for.
    ///
    /// # Errors
    /// The first rule that does not hold; then nothing has changed.
    pub async fn add_passkey(
        &self,
        change: Change<AddPasskey>,
        presented: PresentedPasskey<'_>,
    ) -> Result<Credential, AddOwnPasskeyError> {
        let by = (change.author.account_id, change.address);
        let added = self.try_add_passkey(change, presented).await;
        self.core.settle_key_change(by, &added).await;
        added
    }

    async fn try_add_passkey(
        &self,
        change: Change<AddPasskey>,
        presented: PresentedPasskey<'_>,
    ) -> Result<Credential, AddOwnPasskeyError> {
        let (account_id, now) = (change.author.account_id, change.at);
        let wanted = Expected::Add(account_id);
        let new = self.passkeys.verify_new(presented, &wanted, change.operation.browser, now)?;
        let credential = new.credential(account_id, change.author.credential, now);
        let event = change.event(EventKind::KeyAdded, credential.thumbprint(), Some("a passkey"));
        let limits = KeyLimits {
            live: self.core.policy.max_per_account(CredentialKind::Passkey),
            revoked: self.core.policy.max_revoked_keys_per_account,
            password_token_of: change.author.token_issued_at,
        };
        let challenge = new.challenge.entry();
        let unvouched_since = self.in_doubt_since(&change).await?;
        let passkey = Passkey { unvouched_since, ..new.passkey };
        let new = NewPasskey { credential: credential.clone(), passkey, challenge, event };
        self.core.ports.store.add_passkey(new, limits, change.permit).await?;
        self.core.credentials.forget(&credential.thumbprint());
        self.core.credentials.forget_keys_of(account_id);
        Ok(credential)
    }

    /// Since when a passkey that is added by `change` is in doubt: as long as the one that vouches for it,
    /// from now on where none does. Otherwise a thief's first passkey vouched for the second.
    async fn in_doubt_since(
        &self,
        change: &Change<AddPasskey>,
    ) -> Result<Option<UnixTime>, AddCredentialError> {
        let Some(step_up) = &change.permit.step_up else { return Ok(Some(change.at)) };
        let voucher = step_up.passkey.thumbprint;
        let known = self.core.ports.store.passkeys_of(change.author.account_id).await?;
        let voucher = known.iter().find(|own| own.thumbprint == voucher);
        Ok(voucher.and_then(|own| own.passkey.in_doubt_since(change.at)))
    }
}

/// Why a passkey is not added.
#[derive(Debug, Error)]
pub enum AddOwnPasskeyError {
    /// The store refuses or failed.
    #[error(transparent)]
    Credential(#[from] AddCredentialError),
    /// A passkey of some account has its id.
    #[error("the passkey is registered already")]
    IdTaken,
    /// It is not good.
    #[error(transparent)]
    New(#[from] NewPasskeyError),
}

impl From<AddPasskeyError> for AddOwnPasskeyError {
    fn from(error: AddPasskeyError) -> Self {
        match error {
            AddPasskeyError::Credential(error) => Self::Credential(error),
            AddPasskeyError::IdTaken => Self::IdTaken,
            AddPasskeyError::Challenge(error) => match error {
                RecordLoginError::AlreadyUsed | RecordLoginError::NotLive => {
                    Self::New(NewPasskeyError::ChallengeUsed)
                }
                RecordLoginError::Forgotten => {
                    let error = StoreError::Unavailable(Box::new(error));
                    Self::Credential(AddCredentialError::Store(error))
                }
                RecordLoginError::Store(error) => {
                    Self::Credential(AddCredentialError::Store(error))
                }
            },
        }
    }
}
