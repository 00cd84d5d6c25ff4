//! `countersign keys`: the keys of one's account, at the server.

mod add;
mod revoke;
mod signer;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use countersign_client::{ClientError, KeyInfo, Login};
use countersign_protocol::{UnixTime, keys::Thumbprint};
use serde_json::json;

use self::signer::Signer;
use super::{
    connection::explain_in,
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
    Revoke(Box<revoke::Options>),
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

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    match &options.action {
        Action::List(options) => list(options).await,
        Action::Add(options) => add::run(options).await,
        Action::Rename(options) => rename(options).await,
        Action::Revoke(options) => revoke::run(options).await,
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
        output::json(&serde_json::to_string_pretty(&json!({ "keys": keys }))?)?;
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
    answer.map_err(|error| explain_change(&login, error))?;
    Ok(output::line(format!("{} is now called {}", options.thumbprint, printable(&options.label)))?)
}

/// As [`explain_in`], for a change that may be done twice.
fn explain_change(login: &Login, error: ClientError) -> anyhow::Error {
    let leaves_open = error.leaves_open();
    let error = explain_in(login, error);
    if leaves_open {
        return anyhow!(
            "{error}\n  it is not known whether it was done: run the same command again, which does no harm"
        );
    }
    error
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
