//! `countersign keyring`: the encrypted file that holds one's keys, and its copy at a server.

mod moving;
mod online;
mod online_account;
mod pull;
mod push;
mod recovery_code;

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use countersign_client::{
    SavedToken,
    keyring::{Entry, EntryKeyError, EntryName, KdfCost, Keyring},
};
use countersign_protocol::{
    UnixTime,
    keys::{KeyPolicy, PublicKey, Thumbprint},
    names::{AccountName, InvalidUsername},
    ports::Clock as _,
    proofs::target_uri::TargetUri,
    strict::pem,
};
use countersign_system::SystemClock;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    connection::ServerOptions, dialects::fingerprint, enrolment::parse_name, entry_choice::unknown,
    key_file, keyring_file::KeyringOptions, login_object, passphrase, secret::Source, terminal,
    text,
};
use crate::{output, time::to_rfc3339};

#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,

    #[command(flatten)]
    keyring: KeyringOptions,
}

#[derive(Subcommand)]
enum Action {
    /// List the entries
    List {
        /// Print JSON; times are seconds since 1970
        #[arg(long)]
        json: bool,
    },
    /// Show an entry, its public key included
    Show {
        entry: String,

        /// Print JSON; times are seconds since 1970
        #[arg(long)]
        json: bool,
    },
    /// Give an entry another name
    Rename {
        #[arg(value_name = "OLD")]
        from: String,

        #[arg(value_name = "NEW")]
        to: String,
    },
    /// Let the entries of a server follow it to another name
    Move(Box<moving::Options>),
    /// Remove an entry, and with it its private key, for good
    Remove {
        entry: String,

        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Change the passphrase
    Passwd {
        /// A file that holds the new passphrase [default: ask]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Print an entry's private key or password, unencrypted
    Export {
        entry: String,

        /// Print the private key: whoever sees it can log in
        #[arg(long)]
        reveal_private_key: bool,

        /// Print the password, where the account has one: whoever sees it can log in
        #[arg(long, conflicts_with = "reveal_private_key")]
        reveal_password: bool,

        /// Print the JSON object of a login whose server proves itself too: url, username, keys and
        /// token. It has the private key in it, so it needs --reveal-private-key
        #[arg(long, conflicts_with = "reveal_password")]
        json: bool,
    },
    /// Put a private key from a file into the keyring, or what `export --json` prints
    Import(Box<Import>),
    /// Print where the keyring is
    Path,
    /// Put the entries into the online keyring of an account, kept at its server
    Push(Box<push::Options>),
    /// Get the entries of an online keyring, on a new device too: it takes no login
    Pull(Box<pull::Options>),
    /// Look after the online keyring
    Online(Box<online::Options>),
}

#[derive(Args)]
struct Import {
    /// What to call it
    entry: String,

    /// The private key (PEM, DER, JWK or OpenSSH) or the JSON object of `export --json`; - for
    /// standard input
    file: PathBuf,

    /// The account that the key logs in to [default: ENTRY]
    #[arg(long, value_name = "NAME", value_parser = parse_account)]
    username: Option<String>,

    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let file = &options.keyring;
    match &options.action {
        Action::List { json } => list(&file.open()?, *json),
        Action::Show { entry, json } => show(find(&file.open()?, entry)?, *json),
        Action::Rename { from, to } => rename(&mut file.open()?, from, to),
        Action::Remove { entry, yes } => remove(&mut file.open()?, entry, *yes),
        Action::Passwd { new_passphrase_file } => {
            let source = new_passphrase_file.clone().map_or(Source::Terminal, Source::File);
            change_passphrase(&mut file.open()?, &source)
        }
        Action::Export { entry, reveal_private_key: true, json: false, .. } => {
            export_key(find(&file.open()?, entry)?)
        }
        Action::Export { entry, reveal_private_key: true, json: true, .. } => {
            Ok(output::bytes(&login_object::write(find(&file.open()?, entry)?)?)?)
        }
        Action::Export { entry, reveal_password: true, .. } => {
            export_password(find(&file.open()?, entry)?)
        }
        Action::Export { .. } => bail!(
            "the key would be printed unencrypted, and whoever sees it can log in: if that is what \
             you want, say --reveal-private-key (or --reveal-password)"
        ),
        Action::Import(import) => import.run(file),
        Action::Path => Ok(output::line(file.path()?.display().to_string())?),
        Action::Move(options) => moving::run(options, file).await,
        Action::Push(options) => push::run(options, file).await,
        Action::Pull(options) => pull::run(options, file).await,
        Action::Online(options) => online::run(options, file).await,
    }
}

fn find<'a>(keyring: &'a Keyring, name: &str) -> anyhow::Result<&'a Entry> {
    keyring.get(name).ok_or_else(|| unknown(keyring.entries(), name))
}

fn list(keyring: &Keyring, json: bool) -> anyhow::Result<()> {
    if json {
        let entries: Result<Vec<Value>, _> = keyring.entries().iter().map(to_json).collect();
        let text = serde_json::to_string_pretty(&json!({ "entries": entries? }))?;
        return Ok(output::line(text)?);
    }
    if keyring.entries().is_empty() {
        output::remark("the keyring has no entries; `countersign register NAME` makes one");
        return Ok(());
    }
    let now = SystemClock::new().now();
    let head = ["ENTRY", "USERNAME", "SERVER", "KEY", "STATE"].map(str::to_owned).to_vec();
    let rows = keyring.entries().iter().map(|entry| {
        let key =
            public_key(entry).map_or_else(|error| error.to_string(), |key| key_file::kind(&key));
        vec![
            entry.name().to_string(),
            text::printable(entry.username()),
            text::printable(entry.url()),
            key,
            state(entry, now),
        ]
    });
    Ok(output::line(text::table(std::iter::once(head).chain(rows).collect()))?)
}

fn show(entry: &Entry, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::json(&serde_json::to_string_pretty(&to_json(entry)?)?)?);
    }
    let key = public_key(entry)?;
    let account = entry.account_id().unwrap_or("not known yet");
    let server_key = entry.server_side_public_key(&KeyPolicy::default())?;
    let facts = [
        ("entry", entry.name().to_string()),
        ("username", text::printable(entry.username())),
        ("account", text::printable(account)),
        ("server", text::printable(entry.url())),
        ("key", key_file::describe(&key)),
        ("fingerprint", fingerprint(&key)),
        ("logs in", if entry.password().is_some() { "by password" } else { "by key" }.to_owned()),
        ("created", to_rfc3339(entry.created_at())),
        ("state", state(entry, SystemClock::new().now())),
    ];
    let server_key = server_key.map(|key| ("server's key", key_file::describe(&key)));
    output::line(text::facts(facts.into_iter().chain(server_key)))?;
    Ok(output::line(key.to_spki_pem().trim_end())?)
}

fn rename(keyring: &mut Keyring, from: &str, to: &str) -> anyhow::Result<()> {
    find(keyring, from)?;
    keyring.rename(from, parse_name(to)?)?;
    Ok(output::line(format!("{from} is now {to}"))?)
}

fn remove(keyring: &mut Keyring, name: &str, yes: bool) -> anyhow::Result<()> {
    let entry = find(keyring, name)?;
    let account = format!("{} at {}", entry.username(), entry.url());
    let question = format!("remove {name} ({account}) and its private key for good");
    terminal::confirm(&question, yes)?;
    keyring.remove(name)?;
    Ok(output::line(format!("{name} is removed"))?)
}

fn change_passphrase(keyring: &mut Keyring, source: &Source) -> anyhow::Result<()> {
    let chosen = passphrase::choose(source, keyring.path());
    let passphrase = if source.is_terminal() {
        chosen.context("without a terminal, --new-passphrase-file FILE says the new passphrase")?
    } else {
        chosen?
    };
    keyring.change_passphrase(&passphrase, KdfCost::DEFAULT)?;
    output::line("the passphrase is changed")?;
    output::remark("copies of the file from before still open with the old one");
    Ok(())
}

fn export_password(entry: &Entry) -> anyhow::Result<()> {
    let password = entry.password().with_context(|| {
        format!("the entry {} has no password: it logs in with its key", entry.name())
    })?;
    Ok(output::line(password.expose())?)
}

fn export_key(entry: &Entry) -> anyhow::Result<()> {
    let key = entry.private_key(&KeyPolicy::default())?;
    let text = Zeroizing::new(pem::encode("PRIVATE KEY", &key.to_pkcs8_der()));
    Ok(output::bytes(text.as_bytes())?)
}

impl Import {
    fn run(&self, file: &KeyringOptions) -> anyhow::Result<()> {
        let name = parse_name(&self.entry)?;
        let loaded = key_file::load(&self.file)?;
        if login_object::is_one(loaded.content()) {
            return self.login_object(file, &loaded, name);
        }
        let username = match &self.username {
            Some(username) => username,
            None => parse_account(&self.entry).map(|_| &self.entry).with_context(|| {
                let entry = text::printable(&self.entry);
                format!("{entry:?} is no account: say --username NAME")
            })?,
        };
        let key = loaded.into_key()?;
        let server = self.server.address()?;
        TargetUri::parse(&server).with_context(|| {
            format!("{server:?} is no server: write it as https://auth.example.com")
        })?;
        let mut keyring = file.open_or_create()?;
        let now = SystemClock::new().now();
        keyring.add(Entry::new(name, &server, username, &key, now))?;
        let thumbprint = key.public_key().thumbprint();
        self.say_held(thumbprint)?;
        let entry = text::argument(&self.entry);
        output::remark(format!(
            "it is for {username} at {server}; try: countersign login {entry}, or, if there is no such \
             account yet: countersign register {username} --as {entry} --server {}",
            text::argument(&server)
        ));
        Ok(())
    }

    /// The object says itself which account at which server it is for.
    fn login_object(
        &self,
        file: &KeyringOptions,
        loaded: &key_file::Loaded,
        name: EntryName,
    ) -> anyhow::Result<()> {
        ensure!(
            self.username.is_none() && self.server.given().is_none(),
            "{} says which account at which server it is for: leave out --username and --server",
            loaded.name()
        );
        loaded.refuse_readable_by_others()?;
        let entry = login_object::read(loaded.content(), name, SystemClock::new().now())
            .with_context(|| format!("cannot import {}", loaded.name()))?;
        let thumbprint = public_key(&entry)?.thumbprint();
        let (username, server) = (text::printable(entry.username()), text::printable(entry.url()));
        file.open_or_create()?.add(entry)?;
        self.say_held(thumbprint)?;
        output::remark(format!(
            "it is for {username} at {server}, with the server's key; \
             `countersign keyring show {}` shows both",
            text::argument(&self.entry)
        ));
        Ok(())
    }

    fn say_held(&self, thumbprint: Thumbprint) -> anyhow::Result<()> {
        let entry = text::printable(&self.entry);
        Ok(output::line(format!("{entry} now holds the key {thumbprint}"))?)
    }
}

/// A name that an account can have.
fn parse_account(text: &str) -> Result<String, InvalidUsername> {
    text.parse::<AccountName>().map(|_| text.to_owned())
}

/// What the entry can be used for at the moment.
fn state(entry: &Entry, now: UnixTime) -> String {
    match entry.token() {
        Some(token) if token.expires_at > now => {
            format!("logged in until {}", to_rfc3339(token.expires_at))
        }
        _ => match entry.tokens().find(|token| token.expires_at > now) {
            Some(SavedToken { resource: Some(resource), expires_at, .. }) => format!(
                "logged in for {} until {}",
                text::printable(&resource),
                to_rfc3339(expires_at)
            ),
            _ if entry.account_id().is_none() => "not known to the server yet".to_owned(),
            _ => "logged out".to_owned(),
        },
    }
}

fn to_json(entry: &Entry) -> Result<Value, EntryKeyError> {
    let key = public_key(entry)?;
    Ok(json!({
        "name": entry.name().as_str(),
        "username": entry.username(),
        "account_id": entry.account_id(),
        "server": entry.url(),
        "thumbprint": key.thumbprint(),
        "fingerprint": fingerprint(&key),
        "public_key": key.to_jwk(),
        "server_public_key":
            entry.server_side_public_key(&KeyPolicy::default())?.map(|key| key.to_jwk()),
        "created_at": entry.created_at().as_secs(),
        "token_expires_at": entry.token().map(|token| token.expires_at.as_secs()),
    }))
}

fn public_key(entry: &Entry) -> Result<PublicKey, EntryKeyError> {
    entry.public_key(&KeyPolicy::default())
}
