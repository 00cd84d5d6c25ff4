//! What can be wrong with an online keyring.

use countersign_protocol::keyring_document::{InvalidKeyring, SlotKind};

use crate::keyring::KeyringError;

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The decrypted content is not a list of entries that this version understands.
    #[error(transparent)]
    Content(#[from] KeyringError),
    /// Slot or content do not open with the key that belongs to them.
    #[error("the online keyring is damaged: its {0} does not open with the right key")]
    Damaged(&'static str),
    /// It has no slot of that kind.
    #[error("the online keyring has no slot of the kind {0}")]
    NoSlot(SlotKind),
    /// It breaks a rule of the form.
    #[error("this is not an online keyring: {0}")]
    Form(#[from] InvalidKeyring),
    /// It is no JSON object.
    #[error("this is not an online keyring: {0}")]
    NotJson(String),
    /// A later version of this program wrote it.
    #[error("the online keyring has version {0}, which needs a newer countersign")]
    NewerVersion(u64),
}

/// A password that is too short for a new online keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the password of an online keyring has at least {at_least} bytes, and this one has {found}"
)]
pub struct PasswordTooShort {
    /// Its length, in bytes of UTF-8.
    pub found: usize,
    /// The least length, in bytes of UTF-8.
    pub at_least: usize,
}
