//! How an account is made in a dialect.

use anyhow::{bail, ensure};
use countersign_client::{
    Client, ClientError, NewAccount, Password, PasswordlessAccount, Refusal, Registration,
    gradecoin_fingerprint, keyring::Keyring,
};
use countersign_protocol::keys::{KeyPolicy, PrivateKey, PublicKey};

use super::Dialect;
use crate::client::{
    connection::named_if_off,
    enrolment::{Accepted, Enrolled},
    key_file::KeyType,
    text::argument,
};

/// What the help says of the kind of key.
pub(crate) const KEY_TYPE_TO_REGISTER: &str = "The kind of key to make [default: p256, which every server and \
                                               library knows; rsa2048 for gradecoin, which is older]";

impl Dialect {
    /// Refuses a registration that this dialect does not have.
    pub(crate) fn check_registration(self, has_code: bool) -> anyhow::Result<()> {
        match self {
            Self::SelfSigned => bail!(
                "self-signed has no registration of its own: register without --dialect, then log in \
                 with it"
            ),
            Self::Gradecoin => ensure!(
                !has_code,
                "gradecoin registers with the one-time password of an invitation (`countersign admin \
                 invite NAME --one-time-password`); with a code: leave out --dialect"
            ),
            Self::Password | Self::Passwordless | Self::SignJwt => {}
        }
        Ok(())
    }

    /// Whether the one-time password of an invitation registers.
    pub(crate) fn wants_one_time_password(self) -> bool {
        self == Self::Gradecoin
    }

    /// The kind of key to make unless another one is asked for.
    pub(crate) const fn usual_key_type(self) -> KeyType {
        match self {
            // The original knows no other keys.
            Self::Gradecoin => KeyType::Rsa2048,
            Self::Password | Self::Passwordless | Self::SelfSigned | Self::SignJwt => {
                KeyType::DEFAULT
            }
        }
    }

    /// Refuses to call that a registration which cannot log in by this dialect: in *passwordless* the
    /// server gives its key for the account once, and that answer may have been lost.
    pub(crate) fn check_registered(
        self,
        enrolled: &Enrolled,
        (username, server): (&str, &str),
        keyring: &Keyring,
    ) -> anyhow::Result<()> {
        let server_key = keyring
            .get(enrolled.entry.as_str())
            .map(|entry| entry.server_side_public_key(&KeyPolicy::default()));
        ensure!(
            self != Self::Passwordless || !matches!(server_key, None | Some(Ok(None))),
            "{username} was registered already at {server}, but the server's key for the account is not \
             here, and the server gives it once: in its answer to the registration, which was lost if that \
             was an earlier try of yours\n  \
             with --dialect passwordless it cannot log in; without, it can: countersign login {}\n  \
             for an account that logs in with --dialect passwordless, register another name",
            argument(enrolled.entry.as_str())
        );
        Ok(())
    }

    /// The address of an account whose first key is `key`, where the dialect has such.
    pub(crate) fn address_of(self, key: &PublicKey) -> Option<String> {
        (self == Self::Gradecoin).then(|| gradecoin_fingerprint(key))
    }
}

/// Makes an account that `key` logs in to; by the server's own API without a dialect.
pub(crate) async fn register(
    client: &Client,
    key: &PrivateKey,
    account: &NewAccount<'_>,
    dialect: Option<Dialect>,
    one_time_password: Option<&Password>,
) -> Result<Accepted, ClientError> {
    let registered = register_by(client, key, account, dialect, one_time_password).await;
    registered.map_err(|error| match dialect {
        Some(dialect) => named_if_off(dialect.setting(), error),
        None => error,
    })
}

async fn register_by(
    client: &Client,
    key: &PrivateKey,
    account: &NewAccount<'_>,
    dialect: Option<Dialect>,
    one_time_password: Option<&Password>,
) -> Result<Accepted, ClientError> {
    let &NewAccount { username, enrolment_code, .. } = account;
    match (dialect, one_time_password) {
        (Some(Dialect::Gradecoin), Some(password)) => {
            let outcome = client.register_gradecoin(key, username, password).await;
            outcome.map(Accepted::account).map_err(without_the_seal)
        }
        (Some(Dialect::Passwordless), _) => {
            let PasswordlessAccount { account_id, server_key } =
                client.register_passwordless(key, username, enrolment_code).await?;
            Ok(Accepted { server_key: Some(server_key), ..Accepted::account(account_id) })
        }
        (Some(Dialect::SignJwt), _) => {
            client.register_signjwt(key, username, enrolment_code).await.map(Accepted::account)
        }
        _ => {
            let Registration { account_id, .. } = client.register(key, account).await?;
            Ok(Accepted::account(account_id))
        }
    }
}

/// The one refusal of *gradecoin* lists everything that can be wrong with a sealed request, but
/// this client makes it correctly, so most of the list would mislead.
fn without_the_seal(error: ClientError) -> ClientError {
    match error {
        ClientError::Refused(refusal)
            if refusal.message.as_ref().is_some_and(|text| text.contains("/gradecoin.pub")) =>
        {
            let message = "these are no name and one-time password that still work, or there were too \
                           many attempts: then wait a minute";
            ClientError::Refused(Refusal { message: Some(message.to_owned()), ..refusal })
        }
        error => error,
    }
}
