//! What is written of keyrings counts, by the account, and that of young accounts by the client network too. What is refused counts nothing.

use std::net::IpAddr;

use countersign_protocol::{AccountId, UnixTime};
use thiserror::Error;

use super::OnlineKeyring;
use crate::{
    model::{
        keyring::{KeyringContent, Revision},
        keyring_growth::KeyringTooLarge,
        limits::RateLimited,
    },
    ports::{
        ChangeKeyringError, KeyringHolder, Replaces, SpentStepUp, StoreError, StoreKeyringError,
    },
};

/// What is to be written.
#[derive(Clone, Copy)]
pub(super) struct ToWrite {
    pub(super) account_id: AccountId,
    pub(super) address: IpAddr,
    pub(super) replaces: Replaces,
    /// The length of the ciphertext.
    bytes: usize,
    pub(super) at: UnixTime,
    /// The passkey that has allowed it.
    step_up: Option<SpentStepUp>,
}

impl ToWrite {
    /// `content` for the account, sent from `address`, in the place of `replaces`.
    pub(super) const fn new(
        (account_id, address): (AccountId, IpAddr),
        (replaces, content): (Replaces, &KeyringContent),
        at: UnixTime,
    ) -> Self {
        let bytes = content.ciphertext.len();
        Self { account_id, address, replaces, bytes, at, step_up: None }
    }

    /// The same, after this answer of a passkey.
    pub(super) const fn after(self, step_up: Option<SpentStepUp>) -> Self {
        Self { step_up, ..self }
    }

    /// Whether it may be what is there, under the number `present`: its answer was lost, and it comes again.
    fn may_be_done(self, present: Revision) -> bool {
        self.replaces != Replaces::Revision(present) && self.replaces.may_be_done(present)
    }

    /// What counts of it.
    fn kib(self) -> u32 {
        u32::try_from(self.bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX)
    }
}

impl OnlineKeyring {
    /// Counts what is to be written, and writes it. What the store refuses for a cheap reason is refused
    /// before it is counted, so that it takes nothing from others even for a moment; whatever else the
    /// store refuses is given back. The answer of a passkey is used up in any case: by the store, or here
    /// where too much was written.
    pub(super) async fn write_counted<E, R>(
        &self,
        to_write: ToWrite,
        write: impl Future<Output = Result<Revision, R>> + Send,
    ) -> Result<Revision, E>
    where
        E: From<RateLimited> + From<R>,
        R: From<Foreseen> + From<StoreError>,
    {
        if to_write.step_up.is_none() {
            let holder = self.core.ports.store.keyring_holder(to_write.account_id).await;
            let holder = holder.map_err(R::from)?;
            let present = holder.and_then(|holder| holder.present);
            if present.is_some_and(|present| to_write.may_be_done(present)) {
                // The store knows whether it is. It writes nothing in any case.
                return Ok(write.await?);
            }
            self.foresee(to_write, holder).map_err(R::from)?;
        }
        let (whose, kib) = ((to_write.account_id, to_write.address), to_write.kib());
        if let Err(limited) = self.core.admit_keyring_kib(whose, kib).await {
            self.core.use_up(to_write.step_up).await;
            return Err(limited.into());
        }
        let written = write.await;
        if written.is_err() {
            self.core.give_back_keyring_kib(whose, kib).await;
        }
        Ok(written?)
    }

    /// Why the store will refuse it, by what `holder` has now.
    fn foresee(&self, to_write: ToWrite, holder: Option<KeyringHolder>) -> Result<(), Foreseen> {
        let KeyringHolder { registered_at, present } = holder.ok_or(Foreseen::NoKeyring)?;
        match (present, to_write.replaces) {
            (None, Replaces::Nothing) => {}
            (Some(present), Replaces::Revision(replaced)) if present == replaced => {}
            (Some(present), _) => return Err(Foreseen::Changed { present }),
            (None, Replaces::Revision(_)) => return Err(Foreseen::NoKeyring),
        }
        let growth = self.core.policy.keyrings.growth;
        let is_young = to_write.at.since(registered_at) < growth.young;
        let bytes = to_write.bytes as u64;
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
