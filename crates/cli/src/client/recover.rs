//! `countersign recover`.

use std::sync::Arc;

use anyhow::{bail, ensure};
use clap::Args;
use countersign_client::{
    Client, Recovered, Recovery, TransportOptions,
    keyring::{Entry, Keyring},
};
use countersign_protocol::keys::PrivateKey;

use super::{
    actor::Places,
    connection::explain_login,
    dialects::Dialect,
    enrolment::{Accepted, Enrolled, InFile, is_account, parse_code, whoami},
    key_file::{self, KeyType},
    key_options::KeyOptions,
    password, text,
};
use crate::output;

#[derive(Args)]
#[command(after_help = "\
The code comes from an administrator, who makes it with `countersign admin invite NAME --recover`. It \
works once. The other keys of the account stay, unless the administrator has said otherwise.")]
pub(crate) struct Options {
    /// The username of the account
    name: String,

    /// The one-time code of an administrator
    #[arg(long, value_parser = parse_code)]
    code: String,

    /// With `password`: get a new password, for an account of that dialect, in place of a key
    #[arg(long, value_enum, conflicts_with_all = ["label", "key_type", "key", "no_keyring"])]
    dialect: Option<Dialect>,

    /// A name for the key, such as that of the device [default: the kind of key]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    #[command(flatten)]
    key: KeyOptions,

    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    options.check()?;
    let given = options.key.read()?;
    let server = options.places.server.address()?;
    let client = options.places.server.connect(&server, TransportOptions::default()).await?;
    let given = match given {
        Some(key) if options.key.no_keyring => return without_keyring(&client, key, options).await,
        given => given,
    };
    let mut keyring = options.places.keyring.open_or_create()?;
    if options.dialect.is_some() {
        return new_password(&client, &mut keyring, options).await;
    }
    let (server, name) = (client.metadata().issuer(), &options.name);
    let enrolment = options.key.begin(&mut keyring, server, name, given, KeyType::DEFAULT)?;
    let outcome = client.recover(enrolment.key(), &options.recovery()).await;
    let recovered = outcome.as_ref().ok().cloned();
    let outcome = outcome.map(|recovered| Accepted::account(recovered.account_id));
    let enrolled = enrolment.conclude(&client, &options.name, outcome).await?;
    let facts = [
        ("  key", key_file::describe(enrolled.key.public_key())),
        ("  keyring", place(&keyring, &enrolled)),
    ];
    report(&options.name, client.metadata().issuer(), recovered.as_ref(), facts)?;
    output::remark(format!("try: {}", whoami(&keyring, &enrolled.entry)));
    name_older(&keyring, &client, options, &enrolled);
    Ok(())
}

/// Recovers an account with a key that stays in its file.
async fn without_keyring(
    client: &Client,
    key: PrivateKey,
    options: &Options,
) -> anyhow::Result<()> {
    let key = Arc::new(key);
    let outcome = client.recover(&key, &options.recovery()).await;
    let recovered =
        match InFile::conclude((client, &key), &options.name, outcome, explain_login).await? {
            InFile::New(recovered) => Some(recovered),
            InFile::Known { .. } => None,
        };
    let key = ("  key", key_file::describe(key.public_key()));
    report(&options.name, client.metadata().issuer(), recovered.as_ref(), [key])?;
    if let Some(path) = &options.key.key {
        let path = text::argument(&path.display().to_string());
        let name = text::argument(&options.name);
        output::remark(format!("try: countersign login --key {path} --username {name}"));
    }
    Ok(())
}

impl Options {
    /// Refuses what can be refused without a server and a passphrase.
    fn check(&self) -> anyhow::Result<()> {
        self.key.check_name(&self.name)?;
        ensure!(
            self.dialect.is_none_or(|dialect| dialect == Dialect::Password),
            "an account gets a key back without --dialect, which then logs in by every dialect that \
             takes it; only a password is made by one: --dialect password"
        );
        ensure!(
            !self.code.starts_with("csi_"),
            "this code makes a new account: countersign register NAME --code CODE"
        );
        Ok(())
    }

    fn recovery(&self) -> Recovery<'_> {
        Recovery { account: &self.name, code: &self.code, label: self.label.as_deref() }
    }
}

/// Gets a new password, for the entry that has the old one, or else for a new entry.
async fn new_password(
    client: &Client,
    keyring: &mut Keyring,
    options: &Options,
) -> anyhow::Result<()> {
    let (server, username) = (client.metadata().issuer(), options.name.as_str());
    let has_password = |entry: &&Entry| {
        entry.account_id().is_some()
            && entry.password().is_some()
            && is_account(entry, server, username)
    };
    let Some(entry) = keyring.entries().iter().find(has_password).map(|entry| entry.name().clone())
    else {
        let enrolment = options.key.begin(keyring, server, username, None, KeyType::DEFAULT)?;
        let enrolled = password::recover(client, enrolment, username, &options.code).await?;
        report(username, server, None, [("  keyring", place(keyring, &enrolled))])?;
        output::remark("the keyring keeps the new password; the key is what tokens are bound to");
        output::remark(format!("try: {}", whoami(keyring, &enrolled.entry)));
        return Ok(());
    };
    if options.key.entry.as_ref().is_some_and(|name| name != entry.as_str()) {
        bail!("the entry {entry} of the keyring has the password of {username}: leave out --as");
    }
    // Checked before the code is used up: the keyring must be able to store the result.
    keyring.update(entry.as_str(), Entry::forget_tokens)?;
    let (recovered, password) = password::recovered(client, username, &options.code).await?;
    let kept = keyring.update(entry.as_str(), |entry| entry.set_password(&password));
    let done = format!("{username} has a new password, which is lost: get another code");
    output::after(done, kept)?;
    let path = format!("{}, entry {entry}", keyring.path().display());
    report(username, server, Some(&recovered), [("  keyring", path)])?;
    output::remark("the keyring keeps the new password; the old one no longer works");
    output::remark(format!("try: {}", whoami(keyring, &entry)));
    Ok(())
}

fn report<'a>(
    username: &str,
    server: &str,
    recovered: Option<&Recovered>,
    facts: impl IntoIterator<Item = (&'a str, String)>,
) -> anyhow::Result<()> {
    output::line(format!("{} is back at {server}", text::printable(username)))?;
    output::line(text::facts(facts))?;
    match recovered.map(|recovered| recovered.revoked_keys.len()) {
        None => {}
        Some(0) => output::remark(
            "if another key of the account may be in strange hands: `countersign keys list`, and \
             `countersign keys revoke`",
        ),
        Some(revoked) => output::remark(format!("keys that were revoked by that: {revoked}")),
    }
    Ok(())
}

/// Names the account's other entries: commands may now ask which one is meant.
fn name_older(keyring: &Keyring, client: &Client, options: &Options, enrolled: &Enrolled) {
    let server = client.metadata().issuer();
    let is_older = |entry: &&Entry| {
        is_account(entry, server, &options.name) && *entry.name() != enrolled.entry
    };
    for entry in keyring.entries().iter().filter(is_older) {
        output::remark(format!(
            "the keyring has an older key of {} too; if it is of no use any more: countersign \
             keyring remove {}",
            text::printable(&options.name),
            text::argument(entry.name().as_str())
        ));
    }
}

fn place(keyring: &Keyring, enrolled: &Enrolled) -> String {
    format!("{}, entry {}", keyring.path().display(), enrolled.entry)
}
