//! `countersign keyring pull`: the online keyring's entries come into the keyring. It needs no login: a
//! new device has nothing to log in with.

use anyhow::{anyhow, bail};
use clap::Args;
use countersign_client::{
    TransportOptions,
    keyring::{Keyring, KeyringError},
};

use super::{
    online_account::{Owner, explain, tried},
    push::{on_difference, report},
};
use crate::{
    client::{
        connection::{ServerOptions, explain_login, server_variable},
        entry_choice::{Naming, Wanted, choose},
        key_file::KeyType,
        keyring_file::KeyringOptions,
        online_secret::UnlockOptions,
        text::argument,
    },
    output,
};

#[derive(Args)]
#[command(after_help = "\
Where there is no keyring yet, this makes one, with a passphrase of its own.")]
pub(super) struct Options {
    /// The username of the account, or an entry of the keyring that logs in to it [default: the only
    /// entry that fits]
    name: Option<String>,

    /// Put the online entries in place of those that differ; those stay, under another name, where their
    /// private key would be lost
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    unlock: UnlockOptions,

    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(options: &Options, file: &KeyringOptions) -> anyhow::Result<()> {
    // A wrong passphrase shows before the server is asked.
    let keyring = if file.exists()? { Some(file.open()?) } else { None };
    let (username, server) = options.account(keyring.as_ref())?;
    let client = options.server.connect(&server, TransportOptions::default()).await?;
    let owner = Owner { client: &client, username: &username };
    let key = KeyType::DEFAULT.generate()?;
    let online = tried(options.unlock.asks()?, async || {
        let secret = options.unlock.get(&owner.whose())?;
        Ok(client.open_online_keyring(&key, &username, secret.unlock()).await)
    });
    let online = online.await?.map_err(|error| explain(error, explain_login))?;
    if online.entries().is_empty() {
        return Ok(output::line(format!("the online keyring of {} is empty", owner.whose()))?);
    }
    let mut keyring = match keyring {
        Some(keyring) => keyring,
        None => file.open_or_create()?,
    };
    let merged = keyring.merge(online.entries(), on_difference(options.replace));
    let merged = merged.map_err(|error| match error {
        KeyringError::Differing(_) => anyhow!(
            "{error}\n  nothing was changed; --replace puts the online entries in place of those here"
        ),
        error => error.into(),
    })?;
    report(&merged, "the keyring")?;
    if let Some(first) = merged.added.first() {
        output::remark(format!("try: countersign whoami {}", argument(first.as_str())));
    }
    Ok(())
}

impl Options {
    /// Username and server.
    fn account(&self, keyring: Option<&Keyring>) -> anyhow::Result<(String, String)> {
        let name = self.name.as_deref();
        let entries = keyring.map(Keyring::entries).unwrap_or_default();
        let is_entry = entries.iter().any(|entry| Some(entry.name().as_str()) == name);
        match name {
            Some(name) if !is_entry => Ok((name.to_owned(), self.server.address()?)),
            None if keyring.is_none() => bail!(
                "there is no keyring here that would say whose: countersign keyring pull NAME \
                 --server URL"
            ),
            _ => {
                let usual_server = server_variable()?;
                let wanted = Wanted {
                    name: Naming::Argument(name),
                    server: self.server.given(),
                    usual_server: usual_server.as_deref(),
                    url: None,
                };
                let entry = choose(entries, &wanted)?;
                Ok((entry.username().to_owned(), entry.url().to_owned()))
            }
        }
    }
}
