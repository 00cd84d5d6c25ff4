//! An online keyring that is open.

use countersign_opaque::client::ExportKey;
use countersign_protocol::keyring_document::{KeyringContent, Opener, Slot, SlotId, SlotKind};
use countersign_protocol::ports::Random;

use super::content::ContentKey;
use super::document::Document;
use super::error::{DocumentError, PasswordTooShort};
use super::slot::{unwrap, wrap};
use crate::keyring::{Differing, Entry, KeyringError, Merged, OnDifference, Passphrase, merge};

/// The entries of an online keyring, and what is needed to store them again.
pub struct OnlineKeyring {
    revision: u64,
    document: Document,
    content_key: ContentKey,
    entries: Vec<Entry>,
    opened: Opened,
}

/// The slot that was opened, and the secret that opened it.
struct Opened {
    slot: SlotId,
    opener: Opener,
    secret: ExportKey,
}

impl OnlineKeyring {
    /// The least length of a new password, in bytes of UTF-8.
    pub const MIN_PASSWORD_BYTES: usize = 8;

    /// Opens `document`, which is the revision `revision`, by its slot for passwords or for recovery
    /// codes, with the key that OPAQUE gave.
    ///
    /// # Errors
    /// When there is no such slot, or it, or the content, does not open.
    pub(crate) fn open(
        revision: u64,
        document: Document,
        kind: SlotKind,
        secret: ExportKey,
    ) -> Result<Self, DocumentError> {
        let slot = document.slots().iter().find(|slot| slot.opener.kind() == kind);
        let slot = slot.ok_or(DocumentError::NoSlot(kind))?;
        let content_key = unwrap(slot, &*secret)?;
        let entries = content_key.open(document.content())?;
        let opened = Opened { slot: slot.id, opener: slot.opener.clone(), secret };
        Ok(Self { revision, document, content_key, entries, opened })
    }

    /// Its revision: another one after each change.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The slots.
    pub fn slots(&self) -> &[Slot] {
        self.document.slots()
    }

    /// How many passkeys open it.
    pub fn passkeys(&self) -> usize {
        self.slots().iter().filter(|slot| slot.opener.kind() == SlotKind::Prf).count()
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds the entries that it lacks, as [`Merged`] says, without their tokens. The server learns of
    /// that by [`Login::store_online_content`](crate::Login::store_online_content).
    ///
    /// # Errors
    /// When entries differ and are not to be replaced.
    pub fn merge(
        mut self,
        others: &[Entry],
        on_difference: OnDifference,
    ) -> Result<(Self, Merged), Differing> {
        let merged = merge::merge(&mut self.entries, others, on_difference)?;
        Ok((self, merged))
    }

    /// The entries as they are now, encrypted under the same key.
    pub(crate) fn content(&self, random: &dyn Random) -> Result<KeyringContent, KeyringError> {
        self.content_key.seal(&self.entries, random)
    }

    /// The slot that was opened, for another content key.
    pub(crate) fn rewrapped(&self, content_key: &ContentKey, random: &dyn Random) -> Slot {
        let Opened { slot, opener, secret } = &self.opened;
        wrap((*slot, opener.clone()), &**secret, content_key, random)
    }
}

/// Refuses a password that is too short for a new online keyring.
///
/// # Errors
/// When it is shorter than [`OnlineKeyring::MIN_PASSWORD_BYTES`].
pub fn check_new_password(password: &Passphrase) -> Result<(), PasswordTooShort> {
    let (found, at_least) = (password.as_bytes().len(), OnlineKeyring::MIN_PASSWORD_BYTES);
    if found < at_least { Err(PasswordTooShort { found, at_least }) } else { Ok(()) }
}
