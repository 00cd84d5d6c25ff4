//! `countersign admin accounts`.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countersign_authority::{
    accounts::administration::Administration,
    model::{
        account::{Account, AccountName, AccountStatus, Username},
        credential::Credential,
        credential_kind::CredentialKind,
    },
};
use countersign_protocol::{Scopes, UnixTime};
use serde_json::{Value, json};

use super::{
    arguments::{Limit, union},
    database::{open, open_to_change},
    keys, table,
    words::{count, explain},
};
use crate::{config::Settings, output, time::to_rfc3339};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List accounts in the order of their names
    List(List),
    /// Show an account and its keys
    Show(Show),
    /// Shut an account out: its logins and all its tokens are refused from now on
    Disable {
        /// Username, account id or fingerprint
        name: AccountName,
    },
    /// Let an account in again, with the keys that it had
    Enable {
        /// Username, account id or fingerprint
        name: AccountName,
    },
    /// Give scopes to an account; its next login may ask for them
    Grant(Change),
    /// Take scopes from an account; tokens that it has already keep theirs until they end
    Withdraw(Change),
}

#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    limit: Limit,

    /// Begin after this name: the last one of the page before
    #[arg(long, value_name = "NAME")]
    after: Option<Username>,

    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Show {
    /// Username, account id or fingerprint
    name: AccountName,

    /// As a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Change {
    /// Username, account id or fingerprint
    name: AccountName,

    /// Scopes, such as `read` or `orders:write`
    #[arg(required = true, value_name = "SCOPE")]
    scopes: Vec<Scopes>,
}

pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list(settings, options).await,
        Command::Show(options) => show(settings, options).await,
        Command::Disable { name } => set_status(settings, &name, AccountStatus::Disabled).await,
        Command::Enable { name } => set_status(settings, &name, AccountStatus::Active).await,
        Command::Grant(change) => grant(settings, change).await,
        Command::Withdraw(change) => withdraw(settings, change).await,
    }
}

async fn list(settings: &Settings, options: List) -> anyhow::Result<()> {
    let database = open(settings)?;
    let administration = Administration::new(&database.ports);
    let limit = options.limit.and_one();
    let mut accounts = administration.accounts(options.after.as_ref(), limit).await?;
    let more = options.limit.cut(&mut accounts);
    if options.json {
        for account in &accounts {
            output::json(&to_json(account).to_string())?;
        }
    } else {
        let headings = ["USERNAME", "STATUS", "SCOPES", "REGISTERED", "LAST LOGIN", "ID"];
        table::print(headings, accounts.iter().map(to_row).collect())?;
    }
    if let Some(last) = accounts.last().filter(|_| more) {
        output::remark(format!("there are more: --after {}", last.username));
    }
    Ok(())
}

async fn show(settings: &Settings, options: Show) -> anyhow::Result<()> {
    let database = open(settings)?;
    let administration = Administration::new(&database.ports);
    let account = administration.account(&options.name).await.map_err(explain(&options.name))?;
    let keys = administration.keys(&AccountName::Id(account.id)).await?;
    if options.json {
        let mut value = to_json(&account);
        value["keys"] = keys.iter().map(keys::to_json).collect();
        output::json(&value.to_string())?;
        return Ok(());
    }
    for (name, value) in [
        ("username", account.username.to_string()),
        ("id", account.id.to_string()),
        (
            "fingerprint",
            account.fingerprint.map_or(table::NOTHING.to_owned(), |own| own.to_string()),
        ),
        ("status", account.status.name().to_owned()),
        ("scopes", scopes_text(&account.scopes)),
        ("registered", to_rfc3339(account.registered_at)),
        ("last login", keys::time_text(account.last_login_at)),
        ("keys", keys_text(&keys, database.ports.clock.now())),
    ] {
        output::line(format!("{name:<12}{value}"))?;
    }
    output::line("")?;
    keys::print_table(&keys)
}

async fn set_status(
    settings: &Settings,
    name: &AccountName,
    status: AccountStatus,
) -> anyhow::Result<()> {
    let (_claim, database) = open_to_change(settings)?;
    let administration = Administration::new(&database.ports);
    let account = administration.account(name).await.map_err(explain(name))?;
    if account.status == status {
        output::remark(format!("{} is {} already", account.username, status.name()));
        return Ok(());
    }
    administration.set_status(name, status).await.map_err(explain(name))?;
    output::remark(match status {
        AccountStatus::Active => format!("{} is active again", account.username),
        AccountStatus::Disabled => {
            format!("{} is disabled: its logins and tokens are refused", account.username)
        }
    });
    Ok(())
}

async fn grant(settings: &Settings, change: Change) -> anyhow::Result<()> {
    let (_claim, database) = open_to_change(settings)?;
    let administration = Administration::new(&database.ports);
    let Change { name, scopes } = change;
    let scopes = union(&scopes)?;
    let account = administration.account(&name).await.map_err(explain(&name))?;
    if account.scopes.includes(&scopes) {
        output::remark(format!("{} has {scopes} already", account.username));
        return Ok(());
    }
    let scopes = administration
        .grant_scopes(&name, &scopes)
        .await
        .map_err(explain(&name))
        .with_context(|| format!("cannot give {} more scopes", account.username))?;
    output::remark(format!("{} has {} now", account.username, scopes_text(&scopes)));
    Ok(())
}

async fn withdraw(settings: &Settings, change: Change) -> anyhow::Result<()> {
    let (_claim, database) = open_to_change(settings)?;
    let administration = Administration::new(&database.ports);
    let Change { name, scopes } = change;
    let scopes = union(&scopes)?;
    let account = administration.account(&name).await.map_err(explain(&name))?;
    if account.scopes == account.scopes.without(&scopes) {
        output::remark(format!("{} does not have {scopes}", account.username));
        return Ok(());
    }
    let scopes = administration.withdraw_scopes(&name, &scopes).await.map_err(explain(&name))?;
    output::remark(format!(
        "{} has {} now; its tokens keep theirs until they end",
        account.username,
        scopes_text(&scopes)
    ));
    Ok(())
}

fn to_json(account: &Account) -> Value {
    json!({
        "id": account.id,
        "username": account.username.as_str(),
        "fingerprint": account.fingerprint,
        "status": account.status.name(),
        "scopes": account.scopes.iter().collect::<Vec<_>>(),
        "registered_at": to_rfc3339(account.registered_at),
        "last_login_at": account.last_login_at.map(to_rfc3339),
    })
}

fn to_row(account: &Account) -> [String; 6] {
    [
        account.username.to_string(),
        account.status.name().to_owned(),
        scopes_text(&account.scopes),
        to_rfc3339(account.registered_at),
        keys::time_text(account.last_login_at),
        account.id.to_string(),
    ]
}

pub(super) fn scopes_text(scopes: &Scopes) -> String {
    if scopes.is_empty() { table::NOTHING.to_owned() } else { scopes.to_string() }
}

/// What a credential of that kind is called in a count.
const fn noun(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Key => "key",
        CredentialKind::Browser => "browser",
        CredentialKind::Mutual => "mutual key",
        CredentialKind::Passkey => "passkey",
    }
}

fn keys_text(keys: &[Credential], now: UnixTime) -> String {
    let live = |kind| {
        let live = keys.iter().filter(|key| key.kind == kind && key.is_live(now));
        live.count() as u64
    };
    let mut text = count(live(CredentialKind::Key), "key");
    for kind in [CredentialKind::Browser, CredentialKind::Mutual, CredentialKind::Passkey] {
        if live(kind) > 0 {
            text = format!("{text}, {}", count(live(kind), noun(kind)));
        }
    }
    format!("{text} live, {} in all", keys.len())
}
