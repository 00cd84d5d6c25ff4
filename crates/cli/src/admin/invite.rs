//! `countersign admin invite`.

mod lists;

use std::{collections::HashSet, path::PathBuf, time::Duration};

use anyhow::ensure;
use clap::{ArgGroup, Args};
use countersign_authority::{
    Administration, NewInvitation, NewRecovery, RegistrationKey,
    account::{Account, AccountName, Username},
    invitation::{CodeHash, OneTimePassword, Purpose},
    ports::AccountStore,
};
use countersign_protocol::{Scopes, UnixTime};
use countersign_system::SystemRandom;

use super::{explain, open_to_change, signing_keys, union};
use crate::{
    config::Settings,
    output,
    server::DataDir,
    time::{parse_duration, to_rfc3339},
};

/// How long a code works unless somebody says otherwise.
const USUALLY: Duration = Duration::from_hours(24 * 7);
/// The same for a code that hands over an account.
const RECOVERY_USUALLY: Duration = Duration::from_hours(1);

#[derive(Args)]
#[command(group(ArgGroup::new("named").args(["username", "names_from"])))]
pub(super) struct Options {
    /// The only username that may use the code [default: any]
    username: Option<Username>,

    /// Make a code that gives the account of USERNAME, or each account of the list, a new key, or a
    /// new password if it has one
    #[arg(long, requires = "named", conflicts_with_all = ["scopes", "one_time_password", "import"])]
    recover: bool,

    /// When that code is used, revoke everything else that logs in to the account: its other keys,
    /// and its password
    #[arg(long, requires = "recover")]
    revoke_others: bool,

    /// A scope that the account will have; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scopes>,

    /// How long the code works [default: 7d; with --recover 1h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,

    /// Make a password that works together with USERNAME, as the gradecoin dialect has it
    #[arg(long, requires = "username", conflicts_with_all = ["import", "names_from"])]
    one_time_password: bool,

    /// Invite everybody on this list (- for standard input) with the passwords that it has: CSV with
    /// the header `User ID, Password`; all or nobody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["username", "names_from"])]
    import: Option<PathBuf>,

    /// Make a code for each username of this list (- for standard input), one a line; all or none.
    /// They are written as CSV: username, code, expires
    #[arg(long, value_name = "FILE")]
    names_from: Option<PathBuf>,
}

/// What to do when the code could not be written.
const UNKNOWN: &str = "nobody knows its code: withdraw it and make another";

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let usually = if options.recover { RECOVERY_USUALLY } else { USUALLY };
    let expires = options.expires.unwrap_or(usually);
    ensure!(!expires.is_zero(), "the code would never work: --expires must not be zero");
    let scopes = union(&options.scopes)?;
    if let Some(path) = &options.import {
        return lists::import(settings, path, &scopes, expires).await;
    }
    if let Some(path) = &options.names_from {
        if options.recover {
            return lists::recover_each(settings, path, options.revoke_others, expires).await;
        }
        return lists::invite_each(settings, path, &scopes, expires).await;
    }
    match options.username {
        Some(username) if options.recover => {
            allow_recovery(settings, username, options.revoke_others, expires).await
        }
        Some(username) if options.one_time_password => {
            invite_with_password(settings, username, &scopes, expires).await
        }
        username => invite(settings, username, scopes, expires).await,
    }
}

async fn invite(
    settings: &Settings,
    username: Option<Username>,
    scopes: Scopes,
    expires: Duration,
) -> anyhow::Result<()> {
    let (_claim, data_dir) = open_to_change(settings)?;
    if let Some(username) = &username {
        refuse_registered(&*data_dir.ports.store, username).await?;
    }
    let expires_at = data_dir.ports.clock.now() + expires;
    let whom = username.as_ref().map_or("anybody".to_owned(), ToString::to_string);
    let command = command(settings, "register", username.as_ref().map_or("NAME", Username::as_str));
    let earlier = open_codes(&data_dir, username.as_slice()).await?;
    let new = NewInvitation { username, scopes, expires_at };
    let code = Administration::new(&data_dir.ports).invite(new).await?;
    let said = output::only_copy(code.reveal());
    let until = to_rfc3339(expires_at);
    output::remark(format!("registers {whom}, once, until {until}; it is not shown again"));
    output::remark(format!("use it with: {command}"));
    remark_on_earlier(&earlier);
    warn_if_closed(settings);
    output::after(made(&code.hash()), said)
}

/// The command that uses a code, as far as this configuration knows it. The code itself is written
/// once, to standard output.
fn command(settings: &Settings, verb: &str, name: &str) -> String {
    // A server that listens on every address, or on a port of the system's choice, has no URL here.
    let origin = settings.origin(settings.listen).ok();
    let origin = origin.filter(|_| settings.issuer.is_some() || settings.listen.port() != 0);
    let server = origin.map_or_else(String::new, |origin| format!(" --server {}", origin.origin()));
    format!("countersign {verb} {name} --code CODE{server}")
}

async fn invite_with_password(
    settings: &Settings,
    username: Username,
    scopes: &Scopes,
    expires: Duration,
) -> anyhow::Result<()> {
    let (_claim, data_dir) = open_to_change(settings)?;
    refuse_registered(&*data_dir.ports.store, &username).await?;
    let password = OneTimePassword::generate(&SystemRandom);
    let text = password.reveal().to_owned();
    let invited = [(username.clone(), password)];
    let until = invite_all(settings, &data_dir, &invited, scopes, expires).await?;
    let said = output::only_copy(&text);
    output::remark(format!(
        "registers {username}, once, until {}; it is not shown again",
        to_rfc3339(until)
    ));
    output::after(format!("the invitation of {username} is made ({UNKNOWN})"), said)
}

/// Makes a code that lets somebody back into an account.
async fn allow_recovery(
    settings: &Settings,
    username: Username,
    revoke_others: bool,
    expires: Duration,
) -> anyhow::Result<()> {
    let (_claim, data_dir) = open_to_change(settings)?;
    let administration = Administration::new(&data_dir.ports);
    let name = AccountName::Username(username);
    let account = administration.account(&name).await.map_err(explain(&name))?;
    let earlier = administration.recovery(&account).await?;
    let expires_at = data_dir.ports.clock.now() + expires;
    let new = NewRecovery { name: name.clone(), revoke_others, expires_at };
    let code = administration.allow_recovery(new).await.map_err(explain(&name))?;
    let said = output::only_copy(code.reveal());
    let Account { username, .. } = &account;
    output::remark(format!(
        "lets whoever has it into the account of {username}, once, until {}; it is not shown again",
        to_rfc3339(expires_at)
    ));
    output::remark(format!("use it with: {}", command(settings, "recover", username.as_str())));
    if administration.has_password(&account).await? {
        output::remark("for a new password in place of a key: add --dialect password");
    }
    output::remark(what_else_happens(revoke_others));
    if earlier.is_some() {
        output::remark(format!("an earlier code for {username} no longer works"));
    }
    output::after(made(&code.hash()), said)
}

/// What the use of a code to recover does to the other keys, and to the password.
const fn what_else_happens(revoke_others: bool) -> &'static str {
    if revoke_others {
        "its use revokes everything else that logs in to the account"
    } else {
        "everything else that logs in to the account stays: if a key is in strange hands, revoke it \
         (`countersign admin keys list`), or make another code with --revoke-others"
    }
}

/// Those of `usernames` who have a code to register that works.
async fn open_codes(data_dir: &DataDir, usernames: &[Username]) -> anyhow::Result<Vec<Username>> {
    let ports = &data_dir.ports;
    let now = ports.clock.now();
    let mut all = ports.store.invitations(u32::MAX).await?;
    all.retain(|one| one.purpose == Purpose::Register && one.is_usable(now));
    let open: HashSet<_> =
        all.iter().filter_map(|one| Some(one.username.as_ref()?.folded())).collect();
    Ok(usernames.iter().filter(|username| open.contains(&username.folded())).cloned().collect())
}

fn remark_on_earlier(earlier: &[Username]) {
    if !earlier.is_empty() {
        let names: Vec<_> = earlier.iter().map(Username::as_str).collect();
        output::remark(format!(
            "an earlier code works too for {}: `countersign admin invitations list` shows it, and \
             `withdraw` ends it",
            names.join(", ")
        ));
    }
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
    let key = RegistrationKey::open(&*ports.store, &vault, &SystemRandom).await?;
    let expires_at = ports.clock.now() + expires;
    let administration = Administration::new(ports);
    administration.invite_with_passwords(invited, scopes, expires_at, &key).await?;
    warn_if_closed(settings);
    Ok(expires_at)
}

async fn refuse_registered(accounts: &dyn AccountStore, username: &Username) -> anyhow::Result<()> {
    ensure!(
        !has_account(accounts, username).await?,
        "{username} has an account already; if its key is lost: countersign admin invite {username} \
         --recover"
    );
    Ok(())
}

async fn has_account(accounts: &dyn AccountStore, username: &Username) -> anyhow::Result<bool> {
    Ok(accounts.account(&AccountName::Username(username.clone())).await?.is_some())
}

fn made(hash: &CodeHash) -> String {
    format!("the invitation {} is made ({UNKNOWN})", hash.short())
}

fn warn_if_closed(settings: &Settings) {
    if settings.enrolment == "closed" {
        output::remark("WARNING: by this configuration enrolment is closed, even to the invited");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invited_are_told_the_command_with_name_and_server() {
        let command = |text: &str, name: &str| {
            let settings: Settings = toml::from_str(text).unwrap();
            command(&settings, "register", name)
        };
        assert_eq!(
            command("issuer = \"https://auth.example.com\"", "alice"),
            "countersign register alice --code CODE --server https://auth.example.com"
        );
        assert_eq!(
            command("", "NAME"),
            "countersign register NAME --code CODE --server http://127.0.0.1:8080"
        );
        for unknown in ["listen = \"0.0.0.0:80\"", "listen = \"127.0.0.1:0\""] {
            assert_eq!(command(unknown, "bob"), "countersign register bob --code CODE");
        }
    }
}
