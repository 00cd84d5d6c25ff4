//! `countersign admin keys`.

use anyhow::anyhow;
use clap::Subcommand;
use countersign_authority::{
    accounts::administration::{AdminError, Administration},
    model::{account::AccountName, credential::Credential, user_agent::UserAgent},
    ports::RevokeCredentialError,
};
use countersign_protocol::{UnixTime, keys::Thumbprint};
use serde_json::{Value, json};

use super::{
    database::{open, open_to_change},
    table,
    words::explain,
};
use crate::{config::Settings, output, time::to_rfc3339};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the keys of an account, live and revoked, oldest first
    List {
        /// Username, account id or fingerprint
        name: AccountName,

        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key of an account for good, be it the last; its tokens die at once
    Revoke {
        /// Username, account id or fingerprint
        name: AccountName,

        /// The key, as `list` shows it
        #[arg(allow_hyphen_values = true)]
        thumbprint: Thumbprint,

        /// Revoke the keys that it has added too, and those that they have added
        #[arg(long)]
        with_added: bool,
    },
}

pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { name, json } => list(settings, &name, json).await,
        Command::Revoke { name, thumbprint, with_added } => {
            revoke(settings, &name, &thumbprint, with_added).await
        }
    }
}

async fn list(settings: &Settings, name: &AccountName, json: bool) -> anyhow::Result<()> {
    let database = open(settings)?;
    let administration = Administration::new(&database.ports);
    let keys = administration.keys(name).await.map_err(explain(name))?;
    if !json {
        return print_table(&keys);
    }
    for key in &keys {
        output::json(&to_json(key).to_string())?;
    }
    Ok(())
}

async fn revoke(
    settings: &Settings,
    name: &AccountName,
    thumbprint: &Thumbprint,
    with_added: bool,
) -> anyhow::Result<()> {
    let (_claim, database) = open_to_change(settings)?;
    let administration = Administration::new(&database.ports);
    let added = administration.revoke_key(name, thumbprint).await.map_err(|error| match error {
        AdminError::RevokeKey(RevokeCredentialError::NotFound) => anyhow!(
            "{name} has no live key {thumbprint}: `countersign admin keys list {name}` shows its keys"
        ),
        error => explain(name)(error),
    })?;
    output::remark(format!("revoked {thumbprint}: its tokens are refused"));
    if with_added {
        revoke_added(&administration, name, added).await?;
    } else {
        name_added(name, &added);
    }
    let keys = administration.keys(name).await.map_err(explain(name))?;
    if keys.iter().all(|key| key.revoked_at.is_some()) {
        output::remark(format!(
            "WARNING: {name} has no key left and cannot log in again by itself; a code lets it get a \
             new one: countersign admin invite {name} --recover"
        ));
    }
    Ok(())
}

fn name_added(name: &AccountName, added: &[Credential]) {
    for key in added {
        output::remark(format!(
            "it had added {} ({}), which is live: revoke that too if {} does not know it",
            key.thumbprint(),
            key.label,
            name
        ));
    }
}

/// Revokes the keys `added`, and those that they have added. It ends, because a revoked key cannot
/// add keys.
async fn revoke_added(
    administration: &Administration,
    name: &AccountName,
    mut added: Vec<Credential>,
) -> anyhow::Result<()> {
    while let Some(key) = added.pop() {
        let thumbprint = key.thumbprint();
        match administration.revoke_key(name, &thumbprint).await {
            Ok(more) => {
                output::remark(format!("revoked {thumbprint}: its tokens are refused"));
                added.extend(more);
            }
            // The key was named twice, or its owner has revoked it meanwhile.
            Err(AdminError::RevokeKey(RevokeCredentialError::NotFound)) => {}
            Err(error) => return Err(explain(name)(error)),
        }
    }
    Ok(())
}

pub(super) fn print_table(keys: &[Credential]) -> anyhow::Result<()> {
    let headings = [
        "THUMBPRINT",
        "LABEL",
        "KIND",
        "TYPE",
        "CREATED",
        "ADDED BY",
        "LAST USED",
        "FROM",
        "EXPIRES",
        "REVOKED",
    ];
    let to_row = |key: &Credential| {
        [
            key.thumbprint().to_string(),
            key.label.to_string(),
            key.kind.name().to_owned(),
            key.public_key.key_type().name().to_owned(),
            to_rfc3339(key.created_at),
            key.added_by.map_or_else(|| table::NOTHING.to_owned(), |adder| adder.to_string()),
            time_text(key.last_used_at),
            key.last_address
                .map_or_else(|| table::NOTHING.to_owned(), |address| address.to_string()),
            time_text(key.expires_at()),
            time_text(key.revoked_at),
        ]
    };
    table::print(headings, keys.iter().map(to_row).collect())
}

pub(super) fn to_json(key: &Credential) -> Value {
    json!({
        "thumbprint": key.thumbprint().to_string(),
        "label": key.label.as_str(),
        "kind": key.kind.name(),
        "key_type": key.public_key.key_type().name(),
        "public_key": key.public_key.to_published_jwk(),
        "created_at": to_rfc3339(key.created_at),
        "added_by": key.added_by.map(|adder| adder.to_string()),
        "last_used_at": key.last_used_at.map(to_rfc3339),
        "last_address": key.last_address.map(|address| address.to_string()),
        "user_agent": key.user_agent.as_ref().map(UserAgent::as_str),
        "expires_at": key.expires_at().map(to_rfc3339),
        "revoked_at": key.revoked_at.map(to_rfc3339),
    })
}

pub(super) fn time_text(time: Option<UnixTime>) -> String {
    time.map_or_else(|| table::NOTHING.to_owned(), to_rfc3339)
}
