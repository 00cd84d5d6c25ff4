//! `countersign keyring move`: entries follow their server to another name.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use countersign_client::{
    Client, Login, LoginRequest, TransportOptions, WhoAmI,
    keyring::{Entry, EntryName, Keyring},
};
use countersign_protocol::keys::KeyPolicy;

use crate::{
    client::{
        connection::{ServerOptions, explain_login, same_server},
        keyring_file::KeyringOptions,
        text::printable,
    },
    output,
};

#[derive(Args)]
#[command(after_help = "\
For a server that goes by another name than before, such as https://auth.example.com in place of \
http://127.0.0.1:8080. --server says the new name. Each entry logs in there first, and moves only if \
the account is the one that it was; the others stay as they are.")]
pub(super) struct Options {
    /// The name that the server had before, as `keyring list` shows it
    #[arg(value_name = "URL")]
    from: String,

    /// Send the passwords of entries that log in by password to the new address
    #[arg(long)]
    send_passwords: bool,

    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(options: &Options, file: &KeyringOptions) -> anyhow::Result<()> {
    let mut keyring = file.open()?;
    let is_of_it = |entry: &&Entry| same_server(entry.url(), &options.from);
    let names: Vec<EntryName> =
        keyring.entries().iter().filter(is_of_it).map(|entry| entry.name().clone()).collect();
    ensure!(!names.is_empty(), "the keyring has no entry for {}", printable(&options.from));
    let address = options.server.address()?;
    let client = options.server.connect(&address, TransportOptions::default()).await?;
    let issuer = client.metadata().issuer().to_owned();
    ensure!(
        !same_server(&issuer, &options.from),
        "the server at {address} still goes by {issuer}: --server says the new name"
    );
    let mut staying = 0;
    for name in &names {
        match options.move_one(&mut keyring, name, &client).await {
            Ok(()) => output::line(format!("{name} is now for {issuer}"))?,
            Err(error) => {
                staying += 1;
                output::remark(format!("{name} stays as it is: {error:#}"));
            }
        }
    }
    if staying > 0 {
        bail!("{staying} of {} entries stay with {}", names.len(), printable(&options.from));
    }
    Ok(())
}

impl Options {
    async fn move_one(
        &self,
        keyring: &mut Keyring,
        name: &EntryName,
        client: &Client,
    ) -> anyhow::Result<()> {
        let entry = keyring.get(name.as_str()).context("it is gone")?;
        let login = self.log_in(entry, client).await?;
        let who = login.whoami().await.map_err(explain_login)?;
        ensure!(
            is_account_of(entry, &who),
            "the account that its key logs in to there is another one, {}",
            printable(&who.username)
        );
        let issuer = client.metadata().issuer();
        keyring.update(name.as_str(), |entry| {
            entry.set_url(issuer);
            entry.set_account_id(&who.account_id);
            entry.set_token(&login.save());
        })?;
        Ok(())
    }

    /// What is signed for the new name is of no use elsewhere, but a password is.
    async fn log_in(&self, entry: &Entry, client: &Client) -> anyhow::Result<Login> {
        let key = Arc::new(entry.private_key(&KeyPolicy::default())?);
        let subject = entry.account_id().unwrap_or(entry.username());
        let Some(password) = entry.password() else {
            let request = LoginRequest { subject, scope: None, resource: None, session_key: None };
            return client.login(&key, &request).await.map_err(explain_login);
        };
        ensure!(
            self.send_passwords,
            "it logs in by password, and the server at the new address would get that: if it is the \
             same server, say --send-passwords"
        );
        client.login_with_password(&key, subject, &password).await.map_err(explain_login)
    }
}

fn is_account_of(entry: &Entry, who: &WhoAmI) -> bool {
    entry.account_id().map_or(entry.username() == who.username, |known| known == who.account_id)
}
