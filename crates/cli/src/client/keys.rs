//! `countersign keys`: the keys of one's account, at the server.

mod add;

use clap::{Args, Subcommand};
use countersign_client::{KeyInfo, Login, TransportOptions, keyring::Entry};
use countersign_protocol::{UnixTime, keys::Thumbprint};
use serde_json::json;

use super::{
    actor::{Actor, ActorOptions},
    connection::explain_in,
    enrolment::holds,
    entry_choice::Naming,
    text::{self, printable},
};
use crate::{output, time::to_rfc3339};

#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the keys, live and revoked
    List(Box<ListOptions>),
    /// Let another key log in to the account
    Add(Box<add::Options>),
    /// Give a key another name
    Rename(Box<RenameOptions>),
    /// Revoke a key and every token of it, at once and for good
    Revoke(Box<RevokeOptions>),
}

#[derive(Args)]
struct ListOptions {
    /// Print JSON; times are seconds since 1970
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    signer: Signer,
}

#[derive(Args)]
struct RenameOptions {
    /// The key, as `keys list` shows it
    #[arg(allow_hyphen_values = true)]
    thumbprint: Thumbprint,

    /// Its new name, such as that of the device
    label: String,

    #[command(flatten)]
    signer: Signer,
}

#[derive(Args)]
struct RevokeOptions {
    /// The key, as `keys list` shows it
    #[arg(allow_hyphen_values = true)]
    thumbprint: Thumbprint,

    /// Revoke the keys that it has added too, and those that they have added
    #[arg(long)]
    with_added: bool,

    #[command(flatten)]
    signer: Signer,
}

#[derive(Args)]
struct Signer {
    /// The entry of the keyring to sign with [default: the only one that fits]
    #[arg(long = "as", value_name = "ENTRY")]
    entry: Option<String>,

    #[command(flatten)]
    actor: ActorOptions,
}

impl Signer {
    async fn open(&self) -> anyhow::Result<Actor> {
        let entry = Naming::Option(self.entry.as_deref());
        self.actor.open(entry, None, TransportOptions::default()).await
    }
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    match &options.action {
        Action::List(options) => list(options).await,
        Action::Add(options) => add::run(options).await,
        Action::Rename(options) => rename(options).await,
        Action::Revoke(options) => revoke(options).await,
    }
}

async fn list(options: &ListOptions) -> anyhow::Result<()> {
    let mut actor = options.signer.open().await?;
    let login = actor.logged_in(None).await?;
    let keys = login.list_keys().await;
    actor.done(&login, None);
    let mut keys = keys.map_err(|error| explain_in(&login, error))?;
    keys.sort_by_key(|key| (key.revoked_at.is_some(), key.created_at));
    let current = login.key().public_key().thumbprint();
    if options.json {
        let keys: Vec<_> = keys.iter().map(|key| to_json(key, current)).collect();
        output::line(serde_json::to_string_pretty(&json!({ "keys": keys }))?)?;
    } else {
        output::line(to_table(&keys, current))?;
    }
    Ok(())
}

async fn rename(options: &RenameOptions) -> anyhow::Result<()> {
    let mut actor = options.signer.open().await?;
    let login = actor.logged_in(None).await?;
    let answer = login.rename_key(options.thumbprint, &options.label).await;
    actor.done(&login, None);
    answer.map_err(|error| explain_in(&login, error))?;
    Ok(output::line(format!("{} is now called {}", options.thumbprint, printable(&options.label)))?)
}

async fn revoke(options: &RevokeOptions) -> anyhow::Result<()> {
    let mut actor = options.signer.open().await?;
    let login = actor.logged_in(None).await?;
    let outcome = revoke_all(&login, options).await;
    actor.done(&login, None);
    let revoked = outcome?;
    if revoked.contains(&login.key().public_key().thumbprint()) {
        actor.forget_tokens()?;
    }
    let entries = actor.keyring().map(|keyring| keyring.entries()).unwrap_or_default();
    let holds_one = |entry: &&Entry| revoked.iter().any(|key| holds(entry, *key));
    for entry in entries.iter().filter(holds_one) {
        output::remark(format!(
            "the keyring still has it: countersign keyring remove {}",
            entry.name()
        ));
    }
    Ok(())
}

/// Revokes the key and, if wanted, all keys that were added by it. Returns the revoked keys. Each
/// answer names the keys still to revoke; this ends, because a revoked key can add no more.
async fn revoke_all(login: &Login, options: &RevokeOptions) -> anyhow::Result<Vec<Thumbprint>> {
    let current = login.key().public_key().thumbprint();
    let mut added = revoke_one(login, options.thumbprint).await?;
    let mut revoked = vec![options.thumbprint];
    if !options.with_added {
        for key in &added {
            output::remark(format!(
                "it had added {} ({}), which is live: revoke that too if you do not know it",
                key.thumbprint,
                printable(&key.label)
            ));
        }
        return Ok(revoked);
    }
    while let Some(key) = added.pop() {
        if key.thumbprint == current {
            output::remark(format!("{current} stays: it is the key that signs here"));
        } else if !revoked.contains(&key.thumbprint) {
            let more = revoke_one(login, key.thumbprint).await?;
            revoked.push(key.thumbprint);
            added.extend(more);
        }
    }
    Ok(revoked)
}

async fn revoke_one(login: &Login, thumbprint: Thumbprint) -> anyhow::Result<Vec<KeyInfo>> {
    let added = login.revoke_key(thumbprint).await.map_err(|error| explain_in(login, error))?;
    output::line(format!("{thumbprint} is revoked, and every token of it"))?;
    Ok(added)
}

fn to_json(key: &KeyInfo, current: Thumbprint) -> serde_json::Value {
    json!({
        "thumbprint": key.thumbprint,
        "label": key.label,
        "added_by": key.added_by,
        "created_at": key.created_at.as_secs(),
        "last_used_at": key.last_used_at.map(UnixTime::as_secs),
        "revoked_at": key.revoked_at.map(UnixTime::as_secs),
        "kind": key.kind,
        "expires_at": key.expires_at.map(UnixTime::as_secs),
        "user_agent": key.user_agent,
        "last_address": key.last_address,
        "current": key.thumbprint == current,
    })
}

fn to_table(keys: &[KeyInfo], current: Thumbprint) -> String {
    let head =
        ["THUMBPRINT", "LABEL", "KIND", "CREATED", "LAST LOGIN", "FROM", "ADDED BY", "STATE"]
            .map(str::to_owned);
    let rows = keys.iter().map(|key| {
        let state = if let Some(at) = key.revoked_at {
            format!("revoked {}", to_rfc3339(at))
        } else {
            let this = if key.thumbprint == current { ", this one" } else { "" };
            let end = key.expires_at.map(|at| format!(", until {}", to_rfc3339(at)));
            format!("live{this}{}", end.unwrap_or_default())
        };
        let last_used = key.last_used_at.map_or_else(|| "-".to_owned(), to_rfc3339);
        vec![
            key.thumbprint.to_string(),
            printable(&key.label),
            printable(&key.kind),
            to_rfc3339(key.created_at),
            last_used,
            key.last_address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
            key.added_by.map_or_else(|| "-".to_owned(), |adder| adder.to_string()),
            state,
        ]
    });
    text::table(std::iter::once(head.to_vec()).chain(rows).collect())
}
