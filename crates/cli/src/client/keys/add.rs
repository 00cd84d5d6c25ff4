//! `countersign keys add`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use clap::{ArgGroup, Args};
use countersign_client::{Client, KeyFileError, Login, TransportOptions, keyring::Keyring};
use countersign_protocol::keys::{KeyError, PrivateKey};

use crate::{
    client::{
        actor::{Actor, Places},
        connection::explain_in,
        enrolment::{Accepted, Enrolment, InFile, Plan},
        entry_choice::Naming,
        key_file::{self, KeyType},
        text,
    },
    output,
};

#[derive(Args)]
#[command(group(ArgGroup::new("added").args(["key", "new"]).required(true)), after_help = "\
A key is added together with a proof that its holder agrees, so the private half is needed here: run \
this where it is, or make a new key with --new. It is kept in the keyring under a name of its own.")]
pub(super) struct Options {
    /// The private key to add (PEM, DER, JWK or OpenSSH, - for standard input)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Make a new key
    #[arg(long)]
    new: bool,

    /// The kind of key to make
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = KeyType::DEFAULT, conflicts_with = "key")]
    key_type: KeyType,

    /// A name for the key, such as that of the device [default: the kind of key]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// What to call it in the keyring [default: as the entry that signs, with a number]
    #[arg(long, value_name = "ENTRY")]
    name: Option<String>,

    /// The entry of the keyring to sign with [default: the only one that fits]
    #[arg(long = "as", value_name = "ENTRY", conflicts_with = "signing_key")]
    entry: Option<String>,

    /// Sign with this key (PEM, DER, JWK or OpenSSH) of the account in place of the keyring
    #[arg(long, value_name = "FILE", requires = "username")]
    signing_key: Option<PathBuf>,

    /// The account of --signing-key
    #[arg(long, value_name = "NAME", requires = "signing_key")]
    username: Option<String>,

    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let given = options.key.as_deref().map(read_key).transpose()?;
    let limits = TransportOptions::default();
    if let (Some(path), Some(username)) = (&options.signing_key, &options.username) {
        let actor = Actor::from_key_file(&options.places, path, username, limits).await?;
        let login = actor.logged_in(None).await?;
        if let Some(key) = given {
            // A user who keeps keys in files has this one in a file already.
            let label = options.label.as_deref();
            let (key, client) = (Arc::new(key), actor.client());
            let outcome = login.add_key(username, &key, label).await;
            let explained = |error| explain_in(&login, error);
            let verb = match InFile::conclude((client, &key), username, outcome, explained).await? {
                InFile::New(_) => "now logs in to",
                InFile::Known { .. } => "already logs in to",
            };
            let thumbprint = key.public_key().thumbprint();
            return Ok(output::line(format!("{thumbprint} {verb} {username} too"))?);
        }
        let mut keyring = options.places.keyring.open_or_create()?;
        let owner = Owner { client: actor.client(), login: &login };
        return owner.add(&mut keyring, username, None, options).await;
    }
    let entry = Naming::Option(options.entry.as_deref());
    let mut actor = Actor::from_keyring(&options.places, entry, None, limits).await?;
    let login = actor.logged_in(None).await?;
    let client = actor.client().clone();
    let name = actor.entry().map(|entry| entry.name().to_string()).unwrap_or_default();
    let added = match actor.keyring() {
        Some(keyring) => {
            let owner = Owner { client: &client, login: &login };
            owner.add(keyring, &name, given, options).await
        }
        None => Ok(()),
    };
    actor.done(&login, None);
    added
}

/// Reads the key to add. Explains why a public key is not enough.
fn read_key(path: &Path) -> anyhow::Result<PrivateKey> {
    key_file::read(path).map_err(|error| match error.downcast_ref() {
        Some(KeyFileError(KeyError::PublicKey)) => anyhow!(
            "{} is a public key, and a new key must prove itself: give its private half, or run \
             this where that is, or make another key with --new",
            path.display()
        ),
        _ => error,
    })
}

/// Who lets the key in.
struct Owner<'a> {
    client: &'a Client,
    login: &'a Login,
}

impl Owner<'_> {
    /// Adds the `given` key or a new one to the account and to the keyring, where it is called after
    /// `namesake` unless the user wants another name.
    async fn add(
        &self,
        keyring: &mut Keyring,
        namesake: &str,
        given: Option<PrivateKey>,
        options: &Options,
    ) -> anyhow::Result<()> {
        let Self { client, login } = self;
        let who = login.whoami().await.map_err(|error| explain_in(login, error))?;
        let server = client.metadata().issuer();
        let plan = Plan {
            server,
            username: &who.username,
            entry: options.name.as_deref(),
            default_entry: namesake,
        };
        let enrolment = Enrolment::begin(keyring, &plan, given, options.key_type)?;
        let outcome =
            login.add_key(&who.account_id, enrolment.key(), options.label.as_deref()).await;
        let account_id = who.account_id.clone();
        let outcome = outcome.map(|_| Accepted::account(account_id));
        let enrolled = enrolment.conclude(client, &who.account_id, outcome).await?;

        let username = text::printable(&who.username);
        let verb = if enrolled.was_known { "already logs in to" } else { "now logs in to" };
        output::line(format!("{} {verb} {username} at {server} too", enrolled.entry))?;
        output::line(text::facts([
            ("  key", key_file::describe(enrolled.key.public_key())),
            ("  keyring", format!("{}, entry {}", keyring.path().display(), enrolled.entry)),
        ]))?;
        Ok(())
    }
}
