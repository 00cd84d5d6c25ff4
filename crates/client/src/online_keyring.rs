//! The online keyring: one encrypted keyring for each account, kept at its server.
//!
//! The server keeps a [`Document`] and can open none of it. The content is encrypted under a random key,
//! the [`ContentKey`]. Each [`Slot`] of the document holds that key, encrypted under another key: one that
//! comes from a password, from a [`RecoveryCode`], or from a passkey. Password and recovery code open
//! their slots by way of OPAQUE (RFC 9807), so that the server never learns them, and nobody can guess
//! them without asking the server.
//!
//! What is here does no I/O. The requests are methods of [`Client`](crate::Client) and
//! [`Login`](crate::Login).

mod content;
mod document;
mod error;
mod opened;
mod recovery_code;
mod slot;
#[cfg(test)]
mod tests;

pub use countersign_protocol::keyring_document::{KeyringContent, Opener, Slot, SlotId, SlotKind};

pub use self::content::ContentKey;
pub(crate) use self::content::to_members;
pub use self::document::Document;
pub use self::error::{DocumentError, PasswordTooShort};
pub use self::opened::{OnlineKeyring, check_new_password};
pub use self::recovery_code::{RecoveryCode, RecoveryCodeError};
pub use self::slot::{unwrap, wrap};
