//! Opens an online keyring with a password or a recovery code. It takes no login: whoever knows the
//! password may have nothing else any more.

use countersign_opaque::ServerName;
use countersign_opaque::client::{ExportKey, Login as Opening, NotOpened};
use countersign_protocol::keys::PrivateKey;
use countersign_protocol::strict::base64url;
use countersign_protocol::wire;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::OnlineKeyringError;
use crate::http::client::Client;
use crate::http::error::ClientError;
use crate::http::message::Message;
use crate::http::target::Target;
use crate::keyring::Passphrase;
use crate::online_keyring::{Document, OnlineKeyring, RecoveryCode, SlotKind};

/// The longest answer with a document. A server may be set to take longer documents than usual.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;

/// What an online keyring is opened with.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// Its password.
    Password(&'a Passphrase),
    /// Its recovery code.
    RecoveryCode(&'a RecoveryCode),
}

impl Unlock<'_> {
    const fn kind(self) -> SlotKind {
        match self {
            Self::Password(_) => SlotKind::Password,
            Self::RecoveryCode(_) => SlotKind::Recovery,
        }
    }

    fn as_password(&self) -> &[u8] {
        match self {
            Self::Password(password) => password.as_bytes(),
            Self::RecoveryCode(code) => code.as_password(),
        }
    }

    /// What it is called.
    const fn name(self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::RecoveryCode(_) => "recovery code",
        }
    }
}

impl Client {
    /// Opens the online keyring of the account with the username `username`. `key` is any key: it ties
    /// the two requests together. Each wrong try counts, and the server allows few in an hour.
    ///
    /// # Errors
    /// When the password or code is wrong or there is no such keyring (the server does not say which of
    /// the two), there were too many tries, or what the server keeps does not open.
    pub async fn open_online_keyring(
        &self,
        key: &PrivateKey,
        username: &str,
        unlock: Unlock<'_>,
    ) -> Result<OnlineKeyring, OnlineKeyringError> {
        #[derive(Deserialize)]
        struct Answer {
            revision: u64,
            document: Map<String, Value>,
        }

        let not_opened = || OnlineKeyringError::NotOpened {
            secret: unlock.name(),
            username: username.to_owned(),
            issuer: self.metadata().issuer().to_owned(),
        };
        let failed = |error| OnlineKeyringError::of(error, self);
        let target = self.metadata().api(wire::path::KEYRING_OPEN_FINISH).map_err(failed)?;
        let (members, secret) = self.begin_to_open(key, username, unlock, not_opened).await?;
        let answer: Answer = match self.prove(key, &target, members).await {
            Err(ClientError::Refused(refusal))
                if refusal.status == StatusCode::UNAUTHORIZED
                    && refusal.code.as_deref() == Some("keyring-not-opened") =>
            {
                return Err(not_opened());
            }
            answer => answer.map_err(failed)?,
        };
        let document = Document::from_members(answer.document)?;
        Ok(OnlineKeyring::open(answer.revision, document, unlock.kind(), secret)?)
    }

    /// The first of the two requests. Returns the members of the second one, and the key that the
    /// password gives.
    async fn begin_to_open(
        &self,
        key: &PrivateKey,
        username: &str,
        unlock: Unlock<'_>,
        not_opened: impl Fn() -> OnlineKeyringError,
    ) -> Result<([(&'static str, Value); 2], ExportKey), OnlineKeyringError> {
        #[derive(Deserialize)]
        struct Answer {
            state: String,
            response: String,
        }

        let failed = |error| OnlineKeyringError::of(error, self);
        let target = self.metadata().api(wire::path::KEYRING_OPEN).map_err(failed)?;
        let nonsense = |error: &dyn ToString| {
            OnlineKeyringError::Request(target.unexpected(error.to_string()))
        };
        let password = unlock.as_password();
        let begun = Opening::begin(password, self.random());
        let (opening, request) = begun.map_err(|error| nonsense(&error))?;
        let members = [
            ("username", username.into()),
            ("kind", unlock.kind().name().into()),
            ("request", base64url::encode(&request).into()),
        ];
        let answer: Answer = self.prove(key, &target, members).await.map_err(failed)?;
        let response = base64url::decode(&answer.response).map_err(|error| nonsense(&error))?;
        let name = ServerName(self.metadata().issuer());
        let (finalization, secret) = opening
            .finish(password, &response, name, self.random())
            .map_err(|error| match error {
                NotOpened::WrongPassword => not_opened(),
                NotOpened::Malformed => nonsense(&error),
            })?;
        let finalization = base64url::encode(&finalization);
        Ok(([("state", answer.state.into()), ("finalization", finalization.into())], secret))
    }

    /// Posts `members` with a proof by `key`.
    async fn prove<const N: usize, T: DeserializeOwned>(
        &self,
        key: &PrivateKey,
        target: &Target,
        members: [(&str, Value); N],
    ) -> Result<T, ClientError> {
        let message = Message::json(Method::POST, members);
        let response = self
            .exchange(self.nonces(), target, MAX_DOCUMENT, |attempt| {
                attempt.proven(key, target, message.clone())
            })
            .await?;
        response.into_json(target)
    }
}
