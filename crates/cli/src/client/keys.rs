//! `countersign keys`: the keys of one's account, at the server.

mod add;

use clap::{Args, Subcommand};
use countersign_client::{KeyInfo, TransportOptions};
use countersign_protocol::{UnixTime, keys::Thumbprint};
use serde_json::json;

use super::{
    actor::{Actor, ActorOptions},
    choice::Naming,
    connection::explain,
    enrolment::holds,
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
struct RevokeOptions {
    /// The key, as `keys list` shows it
    #[arg(allow_hyphen_values = true)]
    thumbprint: Thumbprint,

    #[command(flatten)]
    signer: Signer,
}

#[derive(Args)]
struct Signer {
    /// The entry of the keyring to sign with [default: the only one that fits]
    #[arg(long = "as", value_name = "ENTRY", conflicts_with = "key")]
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
        Action::Revoke(options) => revoke(options).await,
    }
}

async fn list(options: &ListOptions) -> anyhow::Result<()> {
    let mut actor = options.signer.open().await?;
    let session = actor.session(None).await?;
    let keys = session.list_keys().await;
    actor.done(&session, None);
    let mut keys = keys.map_err(explain)?;
    keys.sort_by_key(|key| (key.revoked_at.is_some(), key.created_at));
    let current = session.key().public_key().thumbprint();
    if options.json {
        let keys: Vec<_> = keys.iter().map(|key| to_json(key, current)).collect();
        output::line(serde_json::to_string_pretty(&json!({ "keys": keys }))?)?;
    } else {
        output::line(to_table(&keys, current))?;
    }
    Ok(())
}

async fn revoke(options: &RevokeOptions) -> anyhow::Result<()> {
    let mut actor = options.signer.open().await?;
    let session = actor.session(None).await?;
    let answer = session.revoke_key(options.thumbprint).await;
    actor.done(&session, None);
    answer.map_err(explain)?;
    output::line(format!("{} is revoked, and every token of it", options.thumbprint))?;
    if session.key().public_key().thumbprint() == options.thumbprint {
        actor.forget_tokens()?;
    }
    let entries = actor.keyring().map(|keyring| keyring.entries()).unwrap_or_default();
    for entry in entries.iter().filter(|entry| holds(entry, options.thumbprint)) {
        output::remark(format!(
            "the keyring still has it: countersign keyring remove {}",
            entry.name()
        ));
    }
    Ok(())
}

fn to_json(key: &KeyInfo, current: Thumbprint) -> serde_json::Value {
    json!({
        "thumbprint": key.thumbprint,
        "label": key.label,
        "created_at": key.created_at.as_secs(),
        "last_used_at": key.last_used_at.map(UnixTime::as_secs),
        "revoked_at": key.revoked_at.map(UnixTime::as_secs),
        "current": key.thumbprint == current,
    })
}

fn to_table(keys: &[KeyInfo], current: Thumbprint) -> String {
    let head = ["THUMBPRINT", "LABEL", "CREATED", "LAST LOGIN", "STATE"].map(str::to_owned);
    let rows = keys.iter().map(|key| {
        let state = match key.revoked_at {
            Some(at) => format!("revoked {}", to_rfc3339(at)),
            None if key.thumbprint == current => "live, this one".to_owned(),
            None => "live".to_owned(),
        };
        let last_used = key.last_used_at.map_or_else(|| "-".to_owned(), to_rfc3339);
        vec![
            key.thumbprint.to_string(),
            printable(&key.label),
            to_rfc3339(key.created_at),
            last_used,
            state,
        ]
    });
    text::table(std::iter::once(head.to_vec()).chain(rows).collect())
}
