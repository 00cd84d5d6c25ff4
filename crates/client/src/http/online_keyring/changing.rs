//! Changes that leave the slots as they are, and the end.

use countersign_protocol::wire;
use http::Method;

use super::error::OnlineKeyringError;
use super::opening::Unlock;
use super::reading::OnlineKeyringInfo;
use super::request::{at_revision, present};
use crate::http::login::Login;
use crate::http::message::Message;
use crate::keyring::{Entry, Merged, OnDifference, Passphrase};
use crate::online_keyring::{OnlineKeyring, to_members};

/// How often a push begins anew because other programs were quicker.
const MAX_PUSHES: usize = 4;

impl Login {
    /// Adds what the online keyring of the account, whose username is `username`, lacks of `entries`.
    /// When another program changes it meanwhile, begins anew with the changed one.
    ///
    /// # Errors
    /// As [`Client::open_online_keyring`](crate::Client::open_online_keyring); when entries differ and
    /// are not to be replaced; when other programs change it again and again;
    /// [`OnlineKeyringError::Unconfirmed`].
    pub async fn push_entries(
        &self,
        (username, password): (&str, &Passphrase),
        entries: &[Entry],
        on_difference: OnDifference,
    ) -> Result<Merged, OnlineKeyringError> {
        for _ in 0..MAX_PUSHES {
            let unlock = Unlock::Password(password);
            let online = self.client().open_online_keyring(self.key(), username, unlock).await?;
            let (online, merged) = online.merge(entries, on_difference)?;
            if merged.is_unchanged() {
                return Ok(merged);
            }
            match self.store_online_content(&online).await {
                // Where an answer was lost, the change may be there already: opening it tells.
                Err(error) if error.is_overtaken() => {}
                stored => return stored.map(|()| merged),
            }
        }
        Err(OnlineKeyringError::Changed)
    }

    /// Stores the entries of an online keyring as they are now. The server keeps some of the earlier
    /// contents.
    ///
    /// # Errors
    /// When another program has changed the keyring since it was opened, or the server refuses;
    /// [`OnlineKeyringError::Unconfirmed`].
    pub async fn store_online_content(
        &self,
        opened: &OnlineKeyring,
    ) -> Result<(), OnlineKeyringError> {
        let content = opened.content(self.client().random())?;
        let message = Message::json(Method::PUT, to_members(&content));
        self.change_online_keyring(wire::path::KEYRING_CONTENT, message, present(opened)).await
    }

    /// Makes an earlier content the present one, under a new number, in the place of what `present` says is
    /// there. Returns `false` if the server does not have that revision.
    ///
    /// # Errors
    /// When there is no online keyring, it has changed since `present` was read, or the server refuses;
    /// [`OnlineKeyringError::Unconfirmed`].
    pub async fn restore_online_keyring(
        &self,
        present: &OnlineKeyringInfo,
        revision: u64,
    ) -> Result<bool, OnlineKeyringError> {
        let known = self.online_keyring_revisions().await?;
        if !known.iter().any(|known| known.revision == revision) {
            return Ok(false);
        }
        let path = wire::path::keyring_restore(revision);
        let message = Message { method: Method::POST, ..Message::get() };
        let condition = at_revision(present.revision);
        self.change_online_keyring_once(&path, message, condition).await?;
        Ok(true)
    }

    /// Deletes the online keyring that `present` describes, with all that the server has of it.
    ///
    /// # Errors
    /// When there is none, it has changed since `present` was read, or the server refuses;
    /// [`OnlineKeyringError::Unconfirmed`].
    pub async fn delete_online_keyring(
        &self,
        present: &OnlineKeyringInfo,
    ) -> Result<(), OnlineKeyringError> {
        let message = Message { method: Method::DELETE, ..Message::get() };
        let condition = at_revision(present.revision);
        match self.change_online_keyring(wire::path::KEYRING, message, condition).await {
            // The answer to the first request was lost.
            Err(OnlineKeyringError::Unconfirmed { reason, .. })
                if matches!(*reason, OnlineKeyringError::None { .. }) =>
            {
                Ok(())
            }
            deleted => deleted,
        }
    }
}
