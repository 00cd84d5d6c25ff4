//! `countersign keyring online`: looks after the online keyring.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use countersign_client::{
    Login, OnlineKeyringError, OnlineKeyringInfo, SlotInfo, Unlock, online_keyring::OnlineKeyring,
};
use serde_json::{Value, json};

use super::{
    online_account::{AccountOptions, Owner, explain_by, tried},
    recovery_code::{confirmed, show_recovery_code},
};
use crate::{
    client::{
        actor::Actor,
        connection::explain_in,
        keyring_file::KeyringOptions,
        online_secret::{self, PasswordOptions, UnlockOptions},
        terminal, text,
    },
    output,
    time::to_rfc3339,
};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    status: Status,
}

#[derive(Subcommand)]
enum Action {
    /// Show whether there is one, and what opens it
    Status(Status),
    /// Give it another password and another recovery code
    Password(Password),
    /// Give it another recovery code
    Recovery(Recovery),
    /// List the earlier contents that the server still has
    Revisions(Revisions),
    /// Go back to an earlier content
    Restore(Restore),
    /// Delete it at the server, for good
    Delete(Delete),
}

#[derive(Args)]
struct Status {
    /// Print JSON; times are seconds since 1970
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    account: AccountOptions,
}

#[derive(Args)]
#[command(after_help = "\
Nothing but the new password and the new recovery code opens it from then on: passkeys must be added \
again, in the web page, and earlier contents are gone.")]
struct Password {
    /// A file that holds the new password [default: ask]
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,

    #[command(flatten)]
    unlock: UnlockOptions,

    #[command(flatten)]
    account: AccountOptions,
}

#[derive(Args)]
#[command(after_help = "\
Nothing but the password and the new code opens it from then on: passkeys must be added again, in the \
web page, and earlier contents are gone.")]
struct Recovery {
    #[command(flatten)]
    password: PasswordOptions,

    #[command(flatten)]
    account: AccountOptions,
}

#[derive(Args)]
struct Revisions {
    #[command(flatten)]
    account: AccountOptions,
}

#[derive(Args)]
struct Restore {
    /// The number of the revision, as `revisions` lists it
    revision: u64,

    #[command(flatten)]
    account: AccountOptions,
}

#[derive(Args)]
#[command(
    after_help = "Where there is none, that is what was wanted: the command says so and succeeds."
)]
struct Delete {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    account: AccountOptions,
}

pub(super) async fn run(options: &Options, file: &KeyringOptions) -> anyhow::Result<()> {
    let account = match &options.action {
        None => &options.status.account,
        Some(Action::Status(options)) => &options.account,
        Some(Action::Password(options)) => &options.account,
        Some(Action::Recovery(options)) => &options.account,
        Some(Action::Revisions(options)) => &options.account,
        Some(Action::Restore(options)) => &options.account,
        Some(Action::Delete(options)) => &options.account,
    };
    let mut actor = account.open(file).await?;
    let login = actor.logged_in(None).await?;
    let done = match &options.action {
        None => status(&options.status, &login).await,
        Some(Action::Status(options)) => status(options, &login).await,
        Some(Action::Password(options)) => password(options, &actor, &login).await,
        Some(Action::Recovery(options)) => recovery(options, &actor, &login).await,
        Some(Action::Revisions(_)) => revisions(&login).await,
        Some(Action::Restore(options)) => restore(options, &login).await,
        Some(Action::Delete(options)) => delete(options, &actor, &login).await,
    };
    actor.done(&login, None);
    done
}

async fn status(options: &Status, login: &Login) -> anyhow::Result<()> {
    let info = login.online_keyring().await.map_err(|error| explain_by(login, error))?;
    if options.json {
        let info = info.as_ref().map(to_json);
        return Ok(output::json(&serde_json::to_string_pretty(&json!({ "keyring": info }))?)?);
    }
    let Some(info) = info else {
        output::line("there is no online keyring")?;
        output::remark("`countersign keyring push` makes one");
        return Ok(());
    };
    let facts = [
        ("revision", info.revision.to_string()),
        ("changed", to_rfc3339(info.updated_at)),
        ("size", format!("{} bytes", info.size)),
    ];
    let slots = info.slots.iter().map(|slot| ("opened by", describe(slot)));
    Ok(output::line(text::facts(facts.into_iter().chain(slots)))?)
}

fn describe(slot: &SlotInfo) -> String {
    let opener = match (slot.kind.as_str(), &slot.passkey) {
        ("password", _) => "password".to_owned(),
        ("recovery", _) => "recovery code".to_owned(),
        (_, Some(passkey)) => format!("passkey {}", text::printable(passkey)),
        (kind, None) => text::printable(kind),
    };
    let revoked = if slot.passkey_revoked { " (revoked: change the password)" } else { "" };
    format!("{opener}, since {}{revoked}", to_rfc3339(slot.created_at))
}

fn to_json(info: &OnlineKeyringInfo) -> Value {
    let slot = |slot: &SlotInfo| {
        json!({
            "kind": slot.kind,
            "passkey": slot.passkey,
            "passkey_revoked": slot.passkey_revoked,
            "created_at": slot.created_at.as_secs(),
        })
    };
    json!({
        "revision": info.revision,
        "updated_at": info.updated_at.as_secs(),
        "size": info.size,
        "slots": info.slots.iter().map(slot).collect::<Vec<_>>(),
    })
}

async fn password(options: &Password, actor: &Actor, login: &Login) -> anyhow::Result<()> {
    let who = login.whoami().await.map_err(|error| explain_in(login, error))?;
    let owner = Owner { client: actor.client(), username: &who.username };
    let opened = tried(options.unlock.asks()?, async || {
        let secret = options.unlock.get(&owner.whose())?;
        let unlock = secret.unlock();
        Ok(owner.client.open_online_keyring(login.key(), owner.username, unlock).await)
    });
    let opened = opened.await?.map_err(|error| explain_by(login, error))?;
    let file = options.new_password_file.as_ref();
    let password = online_secret::choose_another(file, &owner.whose())?;
    let changed = login.change_online_password(&opened, &password).await;
    let code = confirmed(
        login,
        changed,
        "if it was, the new password and the recovery code above open it, and nothing else; if not, what \
         opened it before. Write the code down. `countersign keyring online` says since when it has its \
         code; then run the same command again, with the password that opens it",
    )?;
    output::line("the online keyring has another password, and another recovery code")?;
    show_recovery_code(&code)?;
    tell_of_passkeys(&opened);
    Ok(())
}

async fn recovery(options: &Recovery, actor: &Actor, login: &Login) -> anyhow::Result<()> {
    let who = login.whoami().await.map_err(|error| explain_in(login, error))?;
    let owner = Owner { client: actor.client(), username: &who.username };
    let opened = tried(options.password.asks()?, async || {
        let password = options.password.get(&owner.whose())?;
        let unlock = Unlock::Password(&password);
        Ok(owner.client.open_online_keyring(login.key(), owner.username, unlock).await)
    });
    let opened = opened.await?.map_err(|error| explain_by(login, error))?;
    let changed = login.change_recovery_code(&opened).await;
    let code = confirmed(
        login,
        changed,
        "if it was, the recovery code above opens it, and the one from before no more: write it down. \
         `countersign keyring online` says since when it has its code; the same command again makes \
         another one",
    )?;
    output::line("the online keyring has another recovery code")?;
    show_recovery_code(&code)?;
    tell_of_passkeys(&opened);
    Ok(())
}

fn tell_of_passkeys(opened: &OnlineKeyring) {
    if opened.passkeys() > 0 {
        output::remark(
            "no passkey opens it any more: add them again, in the web page of the keyring",
        );
    }
}

async fn revisions(login: &Login) -> anyhow::Result<()> {
    let known = login.online_keyring_revisions().await;
    let mut known = known.map_err(|error| explain_by(login, error))?;
    if known.is_empty() {
        output::remark(
            "there are no earlier contents: one is kept when another one takes its place",
        );
        return Ok(());
    }
    known.sort_by_key(|known| known.revision);
    let head = ["REVISION", "STORED", "REPLACED", "SIZE"].map(str::to_owned).to_vec();
    let rows = known.iter().map(|known| {
        let [stored, replaced] = [known.updated_at, known.replaced_at].map(to_rfc3339);
        vec![known.revision.to_string(), stored, replaced, format!("{} bytes", known.size)]
    });
    Ok(output::line(text::table(std::iter::once(head).chain(rows).collect()))?)
}

async fn restore(options: &Restore, login: &Login) -> anyhow::Result<()> {
    let revision = options.revision;
    // A person decides about this one: nothing is done to what another program makes of it meanwhile.
    let present = login.present_online_keyring().await;
    let present = present.map_err(|error| explain_by(login, error))?;
    let restored = login.restore_online_keyring(&present, revision).await;
    if !restored.map_err(|error| explain_by(login, error))? {
        bail!(
            "the server has no revision {revision} of the online keyring; it has those that \
             `countersign keyring online revisions` lists"
        );
    }
    Ok(output::line(format!("the online keyring is as it was at revision {revision}"))?)
}

/// What is said where a deletion has nothing to do.
const NOTHING_THERE: &str = "there is no online keyring: nothing is to be deleted";

async fn delete(options: &Delete, actor: &Actor, login: &Login) -> anyhow::Result<()> {
    let present = login.online_keyring().await.map_err(|error| explain_by(login, error))?;
    let Some(present) = present else { return Ok(output::line(NOTHING_THERE)?) };
    let question = format!("delete the online keyring at {} for good", actor.server());
    terminal::confirm(&question, options.yes)?;
    let done = match login.delete_online_keyring(&present).await {
        Ok(()) => "the online keyring is deleted",
        Err(OnlineKeyringError::None { .. }) => NOTHING_THERE,
        Err(error) => return Err(explain_by(login, error)),
    };
    Ok(output::line(done)?)
}
