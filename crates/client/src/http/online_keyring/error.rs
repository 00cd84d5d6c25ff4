//! What can go wrong with an online keyring.

use http::StatusCode;

use crate::http::client::Client;
use crate::http::error::ClientError;
use crate::keyring::{Differing, KeyringError};
use crate::online_keyring::{DocumentError, PasswordTooShort, RecoveryCode};

/// Why an online keyring could not be read, opened or changed. It is as it was before, unless the
/// error is [`Unconfirmed`](Self::Unconfirmed).
#[derive(Debug, thiserror::Error)]
pub enum OnlineKeyringError {
    /// It was changed since it was opened.
    #[error("another program has changed the online keyring meanwhile")]
    Changed,
    /// Entries differ, and are not to be replaced.
    #[error(transparent)]
    Differing(#[from] Differing),
    /// What the server keeps cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// An entry cannot be written.
    #[error(transparent)]
    Entries(#[from] KeyringError),
    /// The account has none.
    #[error("the account has no online keyring at {issuer}")]
    None {
        /// The issuer identifier of the server.
        issuer: String,
    },
    /// The server does not tell which of the two it is.
    #[error("the {secret} is not right, or {username} has no online keyring at {issuer}")]
    NotOpened {
        /// The kind of secret: "password" or "recovery code".
        secret: &'static str,
        /// The username that was given.
        username: String,
        /// The issuer identifier of the server.
        issuer: String,
    },
    /// The server cannot be reached, refuses, or gives an answer that makes no sense.
    #[error(transparent)]
    Request(ClientError),
    /// The new password is too short.
    #[error(transparent)]
    TooShort(#[from] PasswordTooShort),
    /// The answer to a change was lost, and asking once more did not tell either whether it was done.
    #[error(
        "it is not known whether the server has changed the online keyring: {}",
        why_not_known(reason)
    )]
    Unconfirmed {
        /// The new recovery code, where the change was to bring one. If it was done, nothing but this
        /// code opens the keyring when the password is forgotten: it must be kept.
        code: Option<RecoveryCode>,
        /// What became of the last request.
        reason: Box<Self>,
    },
}

/// What is told of the last request. Whose change the keyring has after an answer was lost, nobody can say.
fn why_not_known(reason: &OnlineKeyringError) -> String {
    if reason.is_overtaken() {
        return "the answer was lost, and now the keyring is another one than before".to_owned();
    }
    reason.to_string()
}

impl OnlineKeyringError {
    /// As `self`, after a request whose answer was lost.
    pub(super) fn unconfirmed(self) -> Self {
        Self::Unconfirmed { code: None, reason: Box::new(self) }
    }

    /// The same with the recovery code that the change was to bring.
    pub(super) fn with_code(self, code: RecoveryCode) -> Self {
        match self {
            Self::Unconfirmed { reason, .. } => Self::Unconfirmed { code: Some(code), reason },
            error => error,
        }
    }

    /// Whether the keyring at the server is not the one that the change was for.
    pub(super) fn is_overtaken(&self) -> bool {
        match self {
            Self::Unconfirmed { reason, .. } => reason.is_overtaken(),
            error => matches!(error, Self::Changed),
        }
    }

    /// Whether the server may have done the request.
    pub(super) fn leaves_open(&self) -> bool {
        matches!(self, Self::Request(error) if error.leaves_open())
    }

    /// The error of a request about an online keyring at the server of `client`.
    pub(super) fn of(error: ClientError, client: &Client) -> Self {
        let ClientError::Refused(refusal) = &error else { return Self::Request(error) };
        match (refusal.status, refusal.code.as_deref()) {
            (StatusCode::NOT_FOUND, Some("no-keyring")) => {
                Self::None { issuer: client.metadata().issuer().to_owned() }
            }
            (StatusCode::PRECONDITION_FAILED, Some("keyring-changed")) => Self::Changed,
            // The paths are not there.
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => {
                Self::Request(client.metadata().lacks("online keyrings"))
            }
            _ => Self::Request(error),
        }
    }
}
