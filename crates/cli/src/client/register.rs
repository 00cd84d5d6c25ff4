//! `countersign register`.

use std::sync::Arc;

use anyhow::{bail, ensure};
use clap::Args;
use countersign_client::{Client, NewAccount, TransportOptions, keyring::Keyring};
use countersign_protocol::keys::PrivateKey;

use super::{
    actor::Places,
    connection::explain_login,
    dialects::{
        Dialect,
        registration::{KEY_TYPE_TO_REGISTER, register},
    },
    enrolment::{Accepted, Enrolled, InFile, is_account, parse_code, whoami},
    key_file::{self, KeyType},
    key_options::KeyOptions,
    password::{self, PasswordOptions},
    text,
};
use crate::output;

#[derive(Args)]
#[command(mut_arg("key_type", |arg| arg.help(KEY_TYPE_TO_REGISTER)), mut_arg("key", |arg| arg.help(KEY)))]
pub(crate) struct Options {
    /// The username to ask for
    name: String,

    /// A name for the key, such as that of the device [default: the kind of key]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// The one-time code of an invitation
    #[arg(long, value_parser = parse_code)]
    code: Option<String>,

    /// Register by a dialect instead of the server's own API
    #[arg(long, value_enum, conflicts_with_all = ["label", "no_keyring"])]
    dialect: Option<Dialect>,

    /// The e-mail address of the account, which the dialect password wants
    #[arg(long, value_name = "ADDRESS", required_if_eq("dialect", "password"))]
    email: Option<String>,

    #[command(flatten)]
    password: PasswordOptions,

    #[command(flatten)]
    key: KeyOptions,

    #[command(flatten)]
    places: Places,
}

/// What is said otherwise of the key where it registers.
const KEY: &str =
    "Register this key (PEM, DER, JWK or OpenSSH, - for standard input) in place of a new one";

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let username = &options.name;
    options.check()?;
    let given = options.key.read()?;
    let server = options.places.server.address()?;
    let client = options.places.server.connect(&server, TransportOptions::default()).await?;
    let server = client.metadata().issuer();
    let given = match given {
        Some(key) if options.key.no_keyring => return without_keyring(&client, key, options).await,
        given => given,
    };

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
            name = text::argument(entry.name().as_str())
        );
    }
    let dialect = options.dialect;
    let one_time_password = match dialect {
        Some(dialect) if dialect.wants_one_time_password() => {
            Some(options.password.get(&format!("One-time password of {username}"))?)
        }
        _ => None,
    };
    let usual = dialect.map_or(KeyType::DEFAULT, Dialect::usual_key_type);
    let enrolment = options.key.begin(&mut keyring, server, username, given, usual)?;
    let enrolled = if let (Some(Dialect::Password), Some(email)) = (dialect, &options.email) {
        password::register(&client, enrolment, username, email, options.code.as_deref()).await?
    } else {
        let (key, password) = (enrolment.key(), one_time_password.as_ref());
        let outcome = register(&client, key, &options.account(), dialect, password).await;
        enrolment.conclude(&client, username, outcome).await?
    };
    if let Some(dialect) = dialect {
        dialect.check_registered(&enrolled, (username, server), &keyring)?;
    }
    report(&enrolled, server, &keyring, options)
}

/// Registers a key that stays in its file.
async fn without_keyring(
    client: &Client,
    key: PrivateKey,
    options: &Options,
) -> anyhow::Result<()> {
    let (username, server, key) = (&options.name, client.metadata().issuer(), Arc::new(key));
    let outcome = register(client, &key, &options.account(), None, None).await;
    let (verb, account_id) =
        match InFile::conclude((client, &key), username, outcome, explain_login).await? {
            InFile::New(Accepted { account_id, .. }) => ("is registered", account_id),
            InFile::Known { account_id } => ("was registered already", account_id),
        };
    output::line(format!("{username} {verb} at {server}"))?;
    let key = key_file::describe(key.public_key());
    let facts = [("  account", text::printable(&account_id)), ("  key", key)];
    Ok(output::line(text::facts(facts))?)
}

fn report(
    enrolled: &Enrolled,
    server: &str,
    keyring: &Keyring,
    options: &Options,
) -> anyhow::Result<()> {
    let verb = if enrolled.was_known { "was registered already" } else { "is registered" };
    output::line(format!("{} {verb} at {server}", options.name))?;
    let key = enrolled.key.public_key();
    let mut facts = vec![("  account", text::printable(&enrolled.account_id))];
    if let Some(address) = options.dialect.and_then(|dialect| dialect.address_of(key)) {
        facts.push(("  address", address));
    }
    facts.push(("  key", key_file::describe(key)));
    facts.push(("  keyring", format!("{}, entry {}", keyring.path().display(), enrolled.entry)));
    output::line(text::facts(facts))?;
    if options.dialect == Some(Dialect::Password) {
        output::remark("the keyring keeps the password; the key is what tokens are bound to");
    }
    output::remark(format!("try: {}", whoami(keyring, &enrolled.entry)));
    Ok(())
}

impl Options {
    fn account(&self) -> NewAccount<'_> {
        let (label, enrolment_code) = (self.label.as_deref(), self.code.as_deref());
        NewAccount { username: &self.name, label, enrolment_code }
    }

    /// Refuses what can be refused without a server and a passphrase.
    fn check(&self) -> anyhow::Result<()> {
        self.key.check_name(&self.name)?;
        ensure!(
            self.code.as_ref().is_none_or(|code| !code.starts_with("csr_")),
            "this code leads back into an account: countersign recover NAME --code CODE"
        );
        if let Some(dialect) = self.dialect {
            dialect.check_registration(self.code.is_some())?;
        }
        let has_password = self.dialect == Some(Dialect::Password);
        ensure!(has_password || self.email.is_none(), "--email is for --dialect password only");
        Ok(())
    }
}
