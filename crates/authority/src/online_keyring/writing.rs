//! What is written of keyrings counts, by the account, and that of young accounts by the client network too. What is refused counts nothing.

use std::net::IpAddr;

use async_trait::async_trait;
use countersign_protocol::{AccountId, UnixTime};
use thiserror::Error;

use super::OnlineKeyring;
use crate::{
    model::{
        keyring::{KeyringContent, Revision},
        keyring_growth::KeyringTooLarge,
        limits::NotAdmitted,
    },
    ports::{
        ChangeKeyringError, KeyringHolder, NewContent, NewKeyring, Permit, Replaces, Store,
        StoreError, StoreKeyringError,
    },
};

/// What is to be written.
#[async_trait]
pub(super) trait ToWrite: Send + Sync {
    /// Why the store refuses it.
    type Refused: From<Foreseen> + From<StoreError>;

    fn facts(&self) -> Facts<'_>;

    /// The number of the present content, if that is what has been written already: the answer was lost, and
    /// it comes again. Nothing is written.
    async fn find_done(&self, store: &dyn Store) -> Result<Option<Revision>, StoreError>;

    async fn write(self, store: &dyn Store) -> Result<Revision, Self::Refused>;
}

/// What counts of something to be written.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    account_id: AccountId,
    replaces: Replaces,
    content: &'a KeyringContent,
    permit: Permit,
    at: UnixTime,
}

#[async_trait]
impl ToWrite for NewKeyring {
    type Refused = StoreKeyringError;

    fn facts(&self) -> Facts<'_> {
        let Self { account_id, replaces, content, permit, .. } = self;
        let (account_id, replaces, permit) = (*account_id, *replaces, *permit);
        Facts { account_id, replaces, content, permit, at: self.event.at }
    }

    async fn find_done(&self, store: &dyn Store) -> Result<Option<Revision>, StoreError> {
        store.stored_keyring(self).await
    }

    async fn write(self, store: &dyn Store) -> Result<Revision, StoreKeyringError> {
        store.store_keyring(self).await
    }
}

#[async_trait]
impl ToWrite for NewContent {
    type Refused = ChangeKeyringError;

    fn facts(&self) -> Facts<'_> {
        let Self { account_id, replaces, content, permit, .. } = self;
        let (account_id, replaces, permit) = (*account_id, Replaces::Revision(*replaces), *permit);
        Facts { account_id, replaces, content, permit, at: self.event.at }
    }

    async fn find_done(&self, store: &dyn Store) -> Result<Option<Revision>, StoreError> {
        store.changed_keyring(self).await
    }

    async fn write(self, store: &dyn Store) -> Result<Revision, ChangeKeyringError> {
        store.change_keyring(self).await
    }
}

impl Facts<'_> {
    /// Whether it may be what is there, under the number `present`.
    fn may_be_done(self, present: Revision) -> bool {
        self.replaces != Replaces::Revision(present) && self.replaces.may_be_done(present)
    }

    fn bytes(self) -> usize {
        self.content.ciphertext.len()
    }

    /// What counts of it.
    fn kib(self) -> u32 {
        u32::try_from(self.bytes().div_ceil(1024).max(1)).unwrap_or(u32::MAX)
    }
}

impl OnlineKeyring {
    /// Counts what is to be written from `address`, and writes it. What the store refuses for a cheap reason
    /// is refused before it is counted, so that it takes nothing from others even for a moment; whatever else
    /// the store refuses is given back. What is done already is only found. The answer of a passkey is used
    /// up in any case: by the store, or here where too much was written.
    pub(super) async fn write_counted<E, W>(
        &self,
        to_write: W,
        address: IpAddr,
    ) -> Result<Revision, E>
    where
        W: ToWrite,
        E: From<NotAdmitted> + From<W::Refused>,
    {
        let (facts, store) = (to_write.facts(), &*self.core.ports.store);
        let step_up = facts.permit.step_up;
        if step_up.is_none() {
            let holder = store.keyring_holder(facts.account_id).await.map_err(W::Refused::from)?;
            let present = holder.and_then(|holder| holder.present);
            if present.is_some_and(|present| facts.may_be_done(present)) {
                let done = to_write.find_done(store).await.map_err(W::Refused::from)?;
                if let Some(revision) = done {
                    return Ok(revision);
                }
            }
            self.foresee(facts, holder).map_err(W::Refused::from)?;
        }
        let (whose, kib) = ((facts.account_id, address), facts.kib());
        if let Err(limited) = self.core.admit_keyring_kib(whose, kib).await {
            self.core.use_up(step_up.map(|step_up| step_up.challenge)).await;
            return Err(limited.into());
        }
        let written = to_write.write(store).await;
        if written.is_err() {
            self.core.give_back_keyring_kib(whose, kib).await;
        }
        Ok(written?)
    }

    /// Why the store will refuse it, by what `holder` has now.
    fn foresee(&self, facts: Facts<'_>, holder: Option<KeyringHolder>) -> Result<(), Foreseen> {
        let KeyringHolder { registered_at, present } = holder.ok_or(Foreseen::NoKeyring)?;
        match (present, facts.replaces) {
            (None, Replaces::Nothing) => {}
            (Some(present), Replaces::Revision(replaced)) if present == replaced => {}
            (Some(present), _) => return Err(Foreseen::Changed { present }),
            (None, Replaces::Revision(_)) => return Err(Foreseen::NoKeyring),
        }
        let growth = self.core.policy.keyrings.growth;
        let is_young = facts.at.since(registered_at) < growth.young;
        let bytes = facts.bytes() as u64;
        if is_young && bytes > growth.young_bytes {
            return Err(Foreseen::TooLarge(KeyringTooLarge::YoungAccount { bytes, growth }));
        }
        Ok(())
    }
}

/// A refusal of the store that is known before it is asked.
#[derive(Debug, Error)]
pub(super) enum Foreseen {
    #[error("the keyring has changed: its present revision is {present}")]
    Changed { present: Revision },
    #[error("the account has no online keyring")]
    NoKeyring,
    #[error(transparent)]
    TooLarge(KeyringTooLarge),
}

impl From<Foreseen> for ChangeKeyringError {
    fn from(error: Foreseen) -> Self {
        match error {
            Foreseen::Changed { present } => Self::Changed { present },
            Foreseen::NoKeyring => Self::NoKeyring,
            Foreseen::TooLarge(error) => Self::TooLarge(error),
        }
    }
}

impl From<Foreseen> for StoreKeyringError {
    fn from(error: Foreseen) -> Self {
        match error {
            Foreseen::Changed { present } => Self::Changed { present },
            Foreseen::NoKeyring => Self::NoKeyring,
            Foreseen::TooLarge(error) => Self::TooLarge(error),
        }
    }
}
