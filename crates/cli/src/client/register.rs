//! `countersign register`.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::Args;
use countersign_client::{
    Client, ClientError, NewAccount, PasswordlessAccount, Registration, TransportOptions,
};
use countersign_protocol::keys::PrivateKey;

use super::{
    actor::Places,
    connection::explain,
    dialect::Dialect,
    enrolment::{Accepted, Enrolment, Plan, is_account, parse_name},
    key_file::{self, KeyType},
    text,
};
use crate::output;

#[derive(Args)]
pub(crate) struct Options {
    /// The username to ask for
    name: String,

    /// A name for the key, such as that of the device [default: the kind of key]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// The one-time code of an invitation
    #[arg(long)]
    code: Option<String>,

    /// Register by a dialect instead of the server's own API
    #[arg(long, value_enum, conflicts_with_all = ["code", "label", "no_keyring"])]
    dialect: Option<Dialect>,

    /// The kind of key to make; every server and library knows p256
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = KeyType::DEFAULT)]
    key_type: KeyType,

    /// Register this private key (PEM or PKCS#8, - for standard input) in place of a new one
    #[arg(long, value_name = "FILE", conflicts_with = "key_type")]
    key: Option<PathBuf>,

    /// Leave the keyring alone: the key stays in its file only
    #[arg(long, requires = "key", conflicts_with = "entry")]
    no_keyring: bool,

    /// What to call the key in the keyring [default: NAME]
    #[arg(long = "as", value_name = "ENTRY")]
    entry: Option<String>,

    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let username = &options.name;
    // What can be refused without a server and a passphrase is refused first.
    parse_name(options.entry.as_ref().unwrap_or(username))?;
    ensure!(
        options.dialect != Some(Dialect::SelfSigned),
        "self-signed has no registration of its own: register without --dialect, then log in with it"
    );
    let given = options.key.as_deref().map(key_file::read).transpose()?;
    let server = options.places.server.address()?;
    let client = options.places.server.connect(&server, TransportOptions::default()).await?;
    let server = client.metadata().issuer();
    if let Some(key) = given.as_ref().filter(|_| options.no_keyring) {
        let Accepted { account_id, .. } = register(&client, key, options).await.map_err(explain)?;
        output::line(format!("{username} is registered at {server}"))?;
        let key = key_file::describe(key.public_key());
        let facts = [("  account", text::printable(&account_id)), ("  key", key)];
        return Ok(output::line(text::facts(facts))?);
    }

    let mut keyring = options.places.keyring.open_or_create()?;
    let registered = keyring
        .entries()
        .iter()
        .find(|entry| entry.account_id().is_some() && is_account(entry, server, username));
    if let Some(entry) = registered {
        bail!(
            "the keyring has a key for {username} at {server} already, the entry {name}\n  \
             another key for the account: countersign keys add --new --as {name}\n  \
             if the server has forgotten the account: countersign keyring remove {name}",
            name = entry.name()
        );
    }
    let plan = Plan { server, username, entry: options.entry.as_deref(), default_entry: username };
    let enrolment = Enrolment::begin(&mut keyring, &plan, given, options.key_type)?;
    let outcome = register(&client, enrolment.key(), options).await;
    let enrolled = enrolment.conclude(&client, username, outcome).await?;

    let verb = if enrolled.was_known { "was registered already" } else { "is registered" };
    output::line(format!("{username} {verb} at {server}"))?;
    output::line(text::facts([
        ("  account", text::printable(&enrolled.account_id)),
        ("  key", key_file::describe(enrolled.key.public_key())),
        ("  keyring", format!("{}, entry {}", keyring.path().display(), enrolled.entry)),
    ]))?;
    output::remark("try: countersign whoami");
    Ok(())
}

async fn register(
    client: &Client,
    key: &PrivateKey,
    options: &Options,
) -> Result<Accepted, ClientError> {
    match options.dialect {
        Some(Dialect::Passwordless) => {
            let account = client.register_passwordless(key, &options.name).await?;
            let PasswordlessAccount { account_id, server_key } = account;
            return Ok(Accepted { account_id, server_key: Some(server_key) });
        }
        Some(Dialect::SignJwt) => {
            let account_id = client.register_signjwt(key, &options.name).await?;
            return Ok(Accepted { account_id, server_key: None });
        }
        Some(Dialect::SelfSigned) | None => {}
    }
    let account = NewAccount {
        username: &options.name,
        label: options.label.as_deref(),
        enrolment_code: options.code.as_deref(),
    };
    let Registration { account_id, .. } = client.register(key, &account).await?;
    Ok(Accepted { account_id, server_key: None })
}
