//! `countersign admin invitations`.

use anyhow::{bail, ensure};
use clap::Subcommand;
use countersign_authority::{
    accounts::administration::Administration,
    model::{
        account::Username,
        invitation::{Invitation, Purpose},
    },
};
use countersign_protocol::{UnixTime, strict::hex};
use serde_json::{Value, json};

use super::{
    accounts::scopes_text,
    arguments::Limit,
    database::{open, open_to_change},
    table,
};
use crate::{config::Settings, output, time::to_rfc3339};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List invitations, newest first
    List {
        #[command(flatten)]
        limit: Limit,

        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Withdraw an unused invitation, to register or to recover: its code no longer works
    Withdraw {
        /// The first digits of its hash, as `list` shows it; at least four
        hash_prefix: String,
    },
}

pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { limit, json } => list(settings, &limit, json).await,
        Command::Withdraw { hash_prefix } => withdraw(settings, &hash_prefix).await,
    }
}

async fn list(settings: &Settings, limit: &Limit, json: bool) -> anyhow::Result<()> {
    let database = open(settings)?;
    let now = database.ports.clock.now();
    let administration = Administration::new(&database.ports);
    let mut invitations = administration.invitations(limit.and_one()).await?;
    let more = limit.cut(&mut invitations);
    if json {
        for invitation in &invitations {
            output::json(&to_json(invitation, now).to_string())?;
        }
    } else {
        let headings = ["HASH", "STATE", "PURPOSE", "FOR", "SCOPES", "CREATED", "EXPIRES", "USED"];
        let rows = invitations.iter().map(|invitation| to_row(invitation, now));
        table::print(headings, rows.collect())?;
    }
    if more {
        output::remark("there are older ones too: raise --limit");
    }
    Ok(())
}

async fn withdraw(settings: &Settings, prefix: &str) -> anyhow::Result<()> {
    let prefix = prefix.to_ascii_lowercase();
    let is_prefix =
        (4..=64).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    ensure!(is_prefix, "the first digits of a hash are needed, at least four of 0-9 and a-f");
    let (_claim, database) = open_to_change(settings)?;
    let administration = Administration::new(&database.ports);
    let mut found = administration.invitations(u32::MAX).await?;
    found.retain(|invitation| invitation.used_at.is_none());
    found.retain(|invitation| hex::encode(&invitation.code_hash.0).starts_with(&prefix));
    let hash = match found.as_slice() {
        [] => bail!(
            "no unused invitation has a hash that begins with {prefix}: `countersign admin \
             invitations list` shows them"
        ),
        [one] => one.code_hash,
        several => bail!("{} invitations begin with {prefix}: give more digits", several.len()),
    };
    administration.withdraw_invitation(&hash).await?;
    output::remark(format!("withdrew the invitation {}", hash.short()));
    Ok(())
}

fn to_row(invitation: &Invitation, now: UnixTime) -> [String; 8] {
    let nothing = || table::NOTHING.to_owned();
    [
        invitation.code_hash.short(),
        state(invitation, now).to_owned(),
        purpose(invitation).to_owned(),
        invitation.username.as_ref().map_or_else(nothing, ToString::to_string),
        scopes_text(&invitation.scopes),
        to_rfc3339(invitation.created_at),
        to_rfc3339(invitation.expires_at),
        invitation.used_at.map_or_else(nothing, to_rfc3339),
    ]
}

fn to_json(invitation: &Invitation, now: UnixTime) -> Value {
    json!({
        "hash": hex::encode(&invitation.code_hash.0),
        "state": state(invitation, now),
        "purpose": purpose(invitation),
        "revokes_others": invitation.purpose == (Purpose::Recover { revoke_others: true }),
        "username": invitation.username.as_ref().map(Username::as_str),
        "scopes": invitation.scopes.iter().collect::<Vec<_>>(),
        "created_at": to_rfc3339(invitation.created_at),
        "expires_at": to_rfc3339(invitation.expires_at),
        "used_at": invitation.used_at.map(to_rfc3339),
    })
}

fn state(invitation: &Invitation, now: UnixTime) -> &'static str {
    if invitation.used_at.is_some() {
        "used"
    } else if invitation.expires_at <= now {
        "expired"
    } else {
        "open"
    }
}

const fn purpose(invitation: &Invitation) -> &'static str {
    match invitation.purpose {
        Purpose::Register => "register",
        Purpose::Recover { .. } => "recover",
    }
}
