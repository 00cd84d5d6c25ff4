//! The account whose online keyring a command is about, and what to do about errors.

use anyhow::anyhow;
use clap::Args;
use countersign_client::{Client, ClientError, Login, OnlineKeyringError, TransportOptions};
use http::StatusCode;

use crate::{
    client::{
        actor::Actor,
        connection::{ServerOptions, explain_in},
        entry_choice::Naming,
        keyring_file::KeyringOptions,
        text::printable,
    },
    output,
};

/// How often a person may mistype the password. The server counts as well.
const ATTEMPTS: usize = 3;

#[derive(Args)]
pub(super) struct AccountOptions {
    /// The entry of the keyring to log in with [default: the only one that fits]
    #[arg(long = "as", value_name = "ENTRY")]
    entry: Option<String>,

    #[command(flatten)]
    server: ServerOptions,
}

impl AccountOptions {
    pub(super) async fn open(&self, file: &KeyringOptions) -> anyhow::Result<Actor> {
        let (entry, limits) = (Naming::Option(self.entry.as_deref()), TransportOptions::default());
        Actor::of_entry(file.open()?, &self.server, entry, None, limits).await
    }
}

/// A username, and the server that knows it.
pub(super) struct Owner<'a> {
    pub(super) client: &'a Client,
    pub(super) username: &'a str,
}

impl Owner<'_> {
    /// For prompts, such as "alice at auth.example.com".
    pub(super) fn whose(&self) -> String {
        format!("{} at {}", printable(self.username), self.client.metadata().issuer())
    }
}

/// Does `attempt` once, or, if it asks a person for the password, up to three times while that is wrong.
pub(super) async fn tried<T>(
    asks: bool,
    mut attempt: impl AsyncFnMut() -> anyhow::Result<Result<T, OnlineKeyringError>>,
) -> anyhow::Result<Result<T, OnlineKeyringError>> {
    for _ in 1..if asks { ATTEMPTS } else { 1 } {
        match attempt().await? {
            Err(OnlineKeyringError::NotOpened { .. }) => {
                output::remark("That does not open it. Once more:");
            }
            done => return Ok(done),
        }
    }
    attempt().await
}

/// The error, with advice. `otherwise` explains errors that have nothing to do with keyrings.
pub(super) fn explain(
    error: OnlineKeyringError,
    otherwise: impl FnOnce(ClientError) -> anyhow::Error,
) -> anyhow::Error {
    let advice = match &error {
        OnlineKeyringError::Changed => "nothing was done: run the command again",
        OnlineKeyringError::Differing(_) => {
            "nothing was changed; --replace puts these entries in place of those there"
        }
        OnlineKeyringError::None { .. } => "`countersign keyring push` makes one",
        OnlineKeyringError::NotOpened { secret: "password", .. } => {
            "if the password is forgotten, its recovery code opens it: --recovery"
        }
        OnlineKeyringError::Request(ClientError::Refused(refusal))
            if refusal.status == StatusCode::TOO_MANY_REQUESTS =>
        {
            "every try with a wrong password counts, by whoever it is"
        }
        OnlineKeyringError::Request(ClientError::Unsupported { .. }) => {
            "the server is of an earlier version"
        }
        OnlineKeyringError::Unconfirmed { .. } => "run the same command again, which does no harm",
        OnlineKeyringError::Document(_)
        | OnlineKeyringError::Entries(_)
        | OnlineKeyringError::NotOpened { .. }
        | OnlineKeyringError::TooShort(_) => return error.into(),
        OnlineKeyringError::Request(_) => {
            return match error {
                OnlineKeyringError::Request(error) => otherwise(error),
                other => other.into(),
            };
        }
    };
    anyhow!("{error}\n  {advice}")
}

/// As [`explain`], for a request of `login`.
pub(super) fn explain_by(login: &Login, error: OnlineKeyringError) -> anyhow::Error {
    explain(error, |error| explain_in(login, error))
}
