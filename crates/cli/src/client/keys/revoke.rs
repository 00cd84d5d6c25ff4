//! `countersign keys revoke`.

use anyhow::anyhow;
use clap::Args;
use countersign_client::{ClientError, KeyInfo, Login, keyring::Entry};
use countersign_protocol::{UnixTime, keys::Thumbprint};
use http::StatusCode;

use super::signer::Signer;
use crate::{
    client::{
        connection::explain_in,
        enrolment::holds,
        text::{self, printable},
    },
    output,
    time::to_rfc3339,
};

#[derive(Args)]
#[command(after_help = "\
A key that is revoked already is no error: the command says so, and goes on with those that it has added.")]
pub(super) struct Options {
    /// The key, as `keys list` shows it
    #[arg(allow_hyphen_values = true)]
    thumbprint: Thumbprint,

    /// Revoke the keys that it has added too, and those that they have added
    #[arg(long)]
    with_added: bool,

    #[command(flatten)]
    signer: Signer,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
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
            text::argument(entry.name().as_str())
        ));
    }
    Ok(())
}

/// Revokes the key and, if wanted, all keys that were added by it. Returns the revoked keys. Each
/// answer names the keys still to revoke; this ends, because a revoked key can add no more.
async fn revoke_all(login: &Login, options: &Options) -> anyhow::Result<Vec<Thumbprint>> {
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

/// Revokes one key, unless it is revoked already. Returns the live keys that it has added.
async fn revoke_one(login: &Login, thumbprint: Thumbprint) -> anyhow::Result<Vec<KeyInfo>> {
    let error = match login.revoke_key(thumbprint).await {
        Ok(added) => {
            output::line(format!("{thumbprint} is revoked, and every token of it"))?;
            return Ok(added);
        }
        Err(error) => error,
    };
    let is_unknown = is_unknown(&error);
    if !is_unknown && !error.leaves_open() {
        return Err(explain_in(login, error));
    }
    let open = "it is not known whether the key is revoked now: run the same command again. If it is the \
                key that signs here and is refused then, it is revoked";
    let Ok(keys) = login.list_keys().await else {
        let error = explain_in(login, error);
        return Err(if is_unknown { error } else { anyhow!("{error}\n  {open}") });
    };
    match State::of(thumbprint, &keys) {
        State::Revoked(at) if is_unknown => {
            output::line(format!("{thumbprint} was revoked already, at {}", to_rfc3339(at)))?;
        }
        State::Revoked(_) => {
            output::line(format!("{thumbprint} is revoked, and every token of it"))?;
        }
        State::Live => {
            let error = explain_in(login, error);
            return Err(anyhow!("{error}\n  the key is not revoked: run the same command again"));
        }
        State::Unknown => {
            let error = explain_in(login, error);
            return Err(anyhow!(
                "{error}\n  the account has no key of that thumbprint, live or revoked: `countersign keys \
                 list` shows those that it has"
            ));
        }
    }
    Ok(added_with(thumbprint, keys))
}

/// What the list of the account's keys says of one of them.
enum State {
    Live,
    Revoked(UnixTime),
    Unknown,
}

impl State {
    fn of(thumbprint: Thumbprint, keys: &[KeyInfo]) -> Self {
        match keys.iter().find(|key| key.thumbprint == thumbprint).map(|key| key.revoked_at) {
            Some(Some(at)) => Self::Revoked(at),
            Some(None) => Self::Live,
            None => Self::Unknown,
        }
    }
}

/// Whether the account has no such live key.
fn is_unknown(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(refusal) if refusal.status == StatusCode::NOT_FOUND)
}

/// Those of the account's live keys that were added with `adder`, directly or through another one.
fn added_with(adder: Thumbprint, keys: Vec<KeyInfo>) -> Vec<KeyInfo> {
    let mut adders = vec![adder];
    let mut looked_at = 0;
    while let Some(&adder) = adders.get(looked_at) {
        looked_at += 1;
        let is_added =
            |key: &&KeyInfo| key.added_by == Some(adder) && !adders.contains(&key.thumbprint);
        let added: Vec<_> = keys.iter().filter(is_added).map(|key| key.thumbprint).collect();
        adders.extend(added);
    }
    let is_added = |key: &KeyInfo| adders.iter().skip(1).any(|added| *added == key.thumbprint);
    keys.into_iter().filter(|key| key.revoked_at.is_none() && is_added(key)).collect()
}
