//! `countersign admin invite` for everybody on a list.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use countersign_authority::{
    accounts::administration::{AdminError, Administration, NewRecovery},
    model::{
        account::{AccountName, AccountStatus, Username},
        invitation::{EnrolmentCode, RecoveryCode},
    },
    ports::AccountStore,
};
use countersign_protocol::{Scopes, UnixTime};
use zeroize::Zeroizing;

use super::{
    super::{
        class_list::{self, BadLine},
        database::open_to_change,
        words::{count, explain},
    },
    making::{
        command, has_account, invite_all, open_codes, remark_on_earlier, warn_if_closed,
        what_else_happens,
    },
};
use crate::{config::Settings, output, time::to_rfc3339};

/// A longer list is refused, in bytes.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// Advice when recovery codes could not be printed.
const AGAIN: &str = "run the same command again, which puts others in their place";

/// Invites everybody on a list, or says what is wrong with it.
pub(super) async fn import(
    settings: &Settings,
    path: &Path,
    scopes: &Scopes,
    expires: Duration,
) -> anyhow::Result<()> {
    let invited = class_list::read(&read_list(path)?)
        .map_err(|wrong| anyhow::anyhow!(nobody(path, &wrong)))?;
    let (_claim, database) = open_to_change(settings)?;
    let names = invited.iter().map(|person| (person.line, &person.username));
    refuse_all_registered(&*database.ports.store, path, names).await?;
    let invited: Vec<_> = invited.into_iter().map(|one| (one.username, one.password)).collect();
    let until = invite_all(settings, &database, &invited, scopes, expires).await?;
    let how_many = count(invited.len() as u64, "invitation");
    output::remark(format!("made {how_many}, each good once, until {}", to_rfc3339(until)));
    Ok(())
}

/// Makes a code for everybody on a list of names, or says what is wrong with it.
pub(super) async fn invite_each(
    settings: &Settings,
    path: &Path,
    scopes: &Scopes,
    expires: Duration,
) -> anyhow::Result<()> {
    let named = read_names(path)?;
    let (_claim, database) = open_to_change(settings)?;
    let names = named.iter().map(|(line, username)| (*line, username));
    refuse_all_registered(&*database.ports.store, path, names).await?;
    let usernames: Vec<_> = named.into_iter().map(|(_, username)| username).collect();
    let expires_at = database.ports.clock.now() + expires;
    let earlier = open_codes(&database, &usernames).await?;
    let administration = Administration::new(&database.ports);
    let codes = administration.invite_each(&usernames, scopes, expires_at).await?;
    let rows: Vec<_> = usernames.iter().zip(codes.iter().map(EnrolmentCode::reveal)).collect();
    let said = write_codes(&rows, expires_at);
    let how_many = count(codes.len() as u64, "invitation");
    output::remark(format!("made {how_many}, each good once, until {}", to_rfc3339(expires_at)));
    output::remark(format!(
        "each is used with: {}",
        command(settings, &database, "register", "USERNAME").await
    ));
    remark_on_earlier(&earlier);
    warn_if_closed(settings);
    let named = usernames.iter().zip(&codes);
    let which: Vec<_> =
        named.map(|(username, code)| format!("{} of {username}", code.hash().short())).collect();
    let done = format!("{how_many} made (nobody knows their codes: withdraw {})", which.join(", "));
    output::after(done, said)
}

/// Makes a recovery code for everybody on a list of names.
pub(super) async fn recover_each(
    settings: &Settings,
    path: &Path,
    revoke_others: bool,
    expires: Duration,
) -> anyhow::Result<()> {
    let named = read_names(path)?;
    let (_claim, database) = open_to_change(settings)?;
    let administration = Administration::new(&database.ports);
    let usernames = accounts_on(path, &administration, named).await?;
    let expires_at = database.ports.clock.now() + expires;
    let mut codes = Vec::with_capacity(usernames.len());
    for username in &usernames {
        let name = AccountName::Username(username.clone());
        let new = NewRecovery { name: name.clone(), revoke_others, expires_at };
        let code = administration.allow_recovery(new).await.map_err(explain(&name));
        codes.push(code.with_context(|| {
            format!("codes made before that, and not shown: {}; {AGAIN}", codes.len())
        })?);
    }
    let rows: Vec<_> = usernames.iter().zip(codes.iter().map(RecoveryCode::reveal)).collect();
    let said = write_codes(&rows, expires_at);
    let how_many = count(codes.len() as u64, "code");
    output::remark(format!(
        "made {how_many}, each of which lets whoever has it into the account, once, until {}",
        to_rfc3339(expires_at)
    ));
    output::remark(format!(
        "each is used with: {}",
        command(settings, &database, "recover", "USERNAME").await
    ));
    output::remark(what_else_happens(revoke_others));
    output::after(format!("{how_many} made (nobody knows them: {AGAIN})"), said)
}

/// The usernames of a list, as their accounts spell them. An error if some have no account or are
/// disabled.
async fn accounts_on(
    path: &Path,
    administration: &Administration,
    named: Vec<(usize, Username)>,
) -> anyhow::Result<Vec<Username>> {
    let (mut right, mut wrong) = (Vec::with_capacity(named.len()), Vec::new());
    for (line, username) in named {
        let name = AccountName::Username(username.clone());
        match administration.account(&name).await {
            Ok(account) if account.status == AccountStatus::Active => right.push(account.username),
            Ok(_) => wrong.push(BadLine { line, reason: format!("{username} is disabled") }),
            Err(AdminError::NoAccount) => {
                wrong.push(BadLine { line, reason: format!("there is no account {username}") });
            }
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(wrong.is_empty(), "no code is made; {}", bad_lines(path, &wrong));
    Ok(right)
}

/// Writes codes as CSV.
fn write_codes(codes: &[(&Username, &str)], expires_at: UnixTime) -> io::Result<()> {
    let until = to_rfc3339(expires_at);
    // No username, code or time has anything in it that CSV would have to quote.
    let mut list = Zeroizing::new("username,code,expires".to_owned());
    for (username, code) in codes {
        // Writing to a string cannot fail.
        let _ = write!(list, "\n{username},{code},{until}");
    }
    output::only_copy(&list)
}

fn read_names(path: &Path) -> anyhow::Result<Vec<(usize, Username)>> {
    class_list::read_names(&read_list(path)?).map_err(|wrong| anyhow::anyhow!(nobody(path, &wrong)))
}

/// Reads a list; `-` stands for standard input.
fn read_list(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut list = Zeroizing::new(Vec::new());
    let mut read = |source: &mut dyn Read| source.take(MAX_LIST + 1).read_to_end(&mut list);
    let outcome = match path.to_str() {
        Some("-") => read(&mut io::stdin().lock()),
        Some(_) | None => File::open(path).and_then(|mut file| read(&mut file)),
    };
    outcome.with_context(|| format!("cannot read {}", list_name(path)))?;
    ensure!(list.len() as u64 <= MAX_LIST, "{} is longer than {MAX_LIST} bytes", list_name(path));
    Ok(list)
}

fn list_name(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "standard input".to_owned(),
        Some(_) | None => path.display().to_string(),
    }
}

async fn refuse_all_registered(
    accounts: &dyn AccountStore,
    path: &Path,
    names: impl Iterator<Item = (usize, &Username)>,
) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for (line, username) in names {
        if has_account(accounts, username).await? {
            wrong.push(BadLine { line, reason: format!("{username} has an account already") });
        }
    }
    ensure!(wrong.is_empty(), nobody(path, &wrong));
    Ok(())
}

/// Why a list invites nobody, line by line.
fn nobody(path: &Path, wrong: &[BadLine]) -> String {
    format!("nobody is invited; {}", bad_lines(path, wrong))
}

fn bad_lines(path: &Path, wrong: &[BadLine]) -> String {
    let mut text = format!("{} has bad lines:", list_name(path));
    for line in wrong {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {line}");
    }
    text
}
