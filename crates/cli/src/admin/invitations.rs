//! `countersign admin invite` and `countersign admin invitations`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use countersign_authority::{
    Administration, NewInvitation, RegistrationKey,
    account::{AccountName, Username},
    invitation::{CodeHash, Invitation, OneTimePassword},
    ports::AccountStore,
};
use countersign_protocol::{Scopes, UnixTime};
use countersign_system::SystemRandom;
use serde_json::{Value, json};

use super::{
    Limit, accounts::scopes_text, class_list, count, open, open_to_change, signing_keys, table,
    union,
};
use crate::{
    config::Settings,
    output,
    server::DataDir,
    time::{parse_duration, to_rfc3339},
};

/// How many hexadecimal digits of a hash are shown.
const SHOWN_DIGITS: usize = 12;

#[derive(Args)]
pub(super) struct Invite {
    /// The only username that may use the code [default: any]
    username: Option<Username>,

    /// A scope that the account will have; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scopes>,

    /// How long the code works
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    expires: Duration,

    /// Make a password that works together with USERNAME, as the gradecoin dialect has it
    #[arg(long, requires = "username", conflicts_with = "import")]
    one_time_password: bool,

    /// Invite everybody on this list, CSV with the header `User ID, Password`; all or nobody
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    import: Option<PathBuf>,
}

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
    /// Withdraw an unused invitation: its code no longer works
    Withdraw {
        /// The first digits of its hash, as `list` shows it; at least four
        hash_prefix: String,
    },
}

/// What to do when the code could not be written.
const UNKNOWN: &str = "nobody knows its code: withdraw it and make another";

pub(super) async fn invite(settings: &Settings, options: Invite) -> anyhow::Result<()> {
    ensure!(!options.expires.is_zero(), "the code would never work: --expires must not be zero");
    let scopes = union(&options.scopes)?;
    if let Some(path) = &options.import {
        return import(settings, path, &scopes, options.expires).await;
    }
    let (_claim, data_dir) = open_to_change(settings)?;
    if let Some(username) = &options.username {
        let taken = has_account(&*data_dir.ports.accounts, username).await?;
        ensure!(!taken, "{username} has an account already");
    }
    if let Some(username) = options.username.as_ref().filter(|_| options.one_time_password) {
        let password = OneTimePassword::generate(&SystemRandom);
        let text = password.reveal().to_owned();
        let invited = [(username.clone(), password)];
        let until = invite_all(settings, &data_dir, &invited, &scopes, options.expires).await?;
        let said = output::line(text);
        output::remark(format!(
            "registers {username}, once, until {}; it is not shown again",
            to_rfc3339(until)
        ));
        return output::after(format!("the invitation of {username} is made ({UNKNOWN})"), said);
    }
    let expires_at = data_dir.ports.clock.now() + options.expires;
    let whom = options.username.as_ref().map_or("anybody".to_owned(), ToString::to_string);
    let new = NewInvitation { username: options.username, scopes, expires_at };
    let code = Administration::new(&data_dir.ports).invite(new).await?;
    let said = output::line(code.reveal());
    let until = to_rfc3339(expires_at);
    output::remark(format!("registers {whom}, once, until {until}; it is not shown again"));
    output::remark("use it with: countersign register NAME --code CODE");
    warn_if_closed(settings);
    let hash = hex(&code.hash());
    let done = format!("the invitation {} is made ({UNKNOWN})", &hash[..SHOWN_DIGITS]);
    output::after(done, said)
}

/// Invites everybody on a list, or says what is wrong with it.
async fn import(
    settings: &Settings,
    path: &Path,
    scopes: &Scopes,
    expires: Duration,
) -> anyhow::Result<()> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let invited = class_list::read(&zeroize::Zeroizing::new(text))
        .map_err(|wrong| anyhow::anyhow!(nobody(path, &wrong)))?;
    let (_claim, data_dir) = open_to_change(settings)?;
    let mut wrong = Vec::new();
    for person in &invited {
        if has_account(&*data_dir.ports.accounts, &person.username).await? {
            let reason = format!("{} has an account already", person.username);
            wrong.push(class_list::BadLine { line: person.line, reason });
        }
    }
    ensure!(wrong.is_empty(), nobody(path, &wrong));
    let invited: Vec<_> = invited.into_iter().map(|one| (one.username, one.password)).collect();
    let until = invite_all(settings, &data_dir, &invited, scopes, expires).await?;
    let how_many = count(invited.len() as u64, "invitation");
    output::remark(format!("made {how_many}, each good once, until {}", to_rfc3339(until)));
    Ok(())
}

/// Makes invitations with passwords, which work until the moment that is returned.
async fn invite_all(
    settings: &Settings,
    data_dir: &DataDir,
    invited: &[(Username, OneTimePassword)],
    scopes: &Scopes,
    expires: Duration,
) -> anyhow::Result<UnixTime> {
    let ports = &data_dir.ports;
    let (vault, _) = signing_keys::open_vault(settings, data_dir).await?;
    let key = RegistrationKey::open(&*ports.vault, &vault, &SystemRandom).await?;
    let expires_at = ports.clock.now() + expires;
    let administration = Administration::new(ports);
    administration.invite_with_passwords(invited, scopes, expires_at, &key).await?;
    warn_if_closed(settings);
    Ok(expires_at)
}

async fn has_account(accounts: &dyn AccountStore, username: &Username) -> anyhow::Result<bool> {
    Ok(accounts.account(&AccountName::Username(username.clone())).await?.is_some())
}

/// Why a list invites nobody, line by line.
fn nobody(path: &Path, wrong: &[class_list::BadLine]) -> String {
    let mut text = format!("nobody is invited; {} has bad lines:", path.display());
    for line in wrong {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {line}");
    }
    text
}

fn warn_if_closed(settings: &Settings) {
    if settings.enrolment == "closed" {
        output::remark("WARNING: by this configuration enrolment is closed, even to the invited");
    }
}

pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { limit, json } => list(settings, &limit, json).await,
        Command::Withdraw { hash_prefix } => withdraw(settings, &hash_prefix).await,
    }
}

async fn list(settings: &Settings, limit: &Limit, json: bool) -> anyhow::Result<()> {
    let data_dir = open(settings)?;
    let now = data_dir.ports.clock.now();
    let administration = Administration::new(&data_dir.ports);
    let mut invitations = administration.invitations(limit.and_one()).await?;
    let more = limit.cut(&mut invitations);
    if json {
        for invitation in &invitations {
            output::line(to_json(invitation, now).to_string())?;
        }
    } else {
        let headings = ["HASH", "STATE", "FOR", "SCOPES", "CREATED", "EXPIRES", "USED"];
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
    let (_claim, data_dir) = open_to_change(settings)?;
    let administration = Administration::new(&data_dir.ports);
    let mut found = administration.invitations(u32::MAX).await?;
    found.retain(|invitation| invitation.used_at.is_none());
    found.retain(|invitation| hex(&invitation.code_hash).starts_with(&prefix));
    let hash = match found.as_slice() {
        [] => bail!(
            "no unused invitation has a hash that begins with {prefix}: `countersign admin \
             invitations list` shows them"
        ),
        [one] => one.code_hash,
        several => bail!("{} invitations begin with {prefix}: give more digits", several.len()),
    };
    administration.withdraw_invitation(&hash).await?;
    output::remark(format!("withdrew the invitation {}", &hex(&hash)[..SHOWN_DIGITS]));
    Ok(())
}

fn to_row(invitation: &Invitation, now: UnixTime) -> [String; 7] {
    let nothing = || table::NOTHING.to_owned();
    [
        hex(&invitation.code_hash)[..SHOWN_DIGITS].to_owned(),
        state(invitation, now).to_owned(),
        invitation.username.as_ref().map_or_else(nothing, ToString::to_string),
        scopes_text(&invitation.scopes),
        to_rfc3339(invitation.created_at),
        to_rfc3339(invitation.expires_at),
        invitation.used_at.map_or_else(nothing, to_rfc3339),
    ]
}

fn to_json(invitation: &Invitation, now: UnixTime) -> Value {
    json!({
        "hash": hex(&invitation.code_hash),
        "state": state(invitation, now),
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

fn hex(hash: &CodeHash) -> String {
    hash.0.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
