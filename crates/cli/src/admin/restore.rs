//! `countersign admin restore`.
//!
//! Everything that could fail is done on a copy of the backup first: reading it with this program,
//! opening it with the master key, and writing the audit event. Only then does the copy take the
//! place of the database, in the way that `countersign-store` makes safe.

mod rehearsal;
mod revived;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use countersign_store::sqlite::{DatabaseSummary, LockError, Restored, ServerLock, verify_backup};

use self::{
    rehearsal::{IF_LOST, Opened, Rehearsal},
    revived::Revived,
};
use super::{backup::describe, database::require_file};
use crate::{
    config::Settings,
    data_dir::database_path,
    master_key::{self, Source},
    output,
    time::to_rfc3339,
};

const UNCHANGED: &str = "nothing was restored or changed";
/// Of how many accounts the withdrawn recovery codes are named.
const MAX_NAMED: usize = 20;

#[derive(Args)]
pub(super) struct Options {
    /// What `countersign admin backup` made
    file: PathBuf,

    /// Do not ask before a database is replaced
    #[arg(long)]
    yes: bool,

    /// The master key of the backup is lost for good: give up what only it opens, and have the rest
    /// open with the present key, or with a new one
    #[arg(long)]
    abandon_signing_keys: bool,
}

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    require_file(
        settings,
        "restore it with the tools of PostgreSQL, while all servers are stopped; see \"Many nodes\" in \
         docs/operations.md",
    )?;
    refuse_while_running(&settings.data_dir)?;
    ensure!(
        !options.file.is_dir(),
        "{} is a directory: name the file in it that `countersign admin backup` made",
        options.file.display()
    );
    let summary = verify_backup(&options.file).context(UNCHANGED)?;
    let keys = master_key::present(&settings.data_dir).context(UNCHANGED)?;
    if keys.is_empty() && !options.abandon_signing_keys {
        return Err(no_key(&settings.data_dir)).context(UNCHANGED);
    }
    let rehearsal = Rehearsal::begin(settings, &options.file).context(UNCHANGED)?;
    let opened = if options.abandon_signing_keys {
        rehearsal.abandon(options.yes).await.context(UNCHANGED)?
    } else {
        rehearsal.open(keys).await.context(UNCHANGED)?
    };
    let revived = revived::revived(settings, &opened).await.unwrap_or_default();
    if database_path(settings).exists() && !options.yes {
        confirm(settings, &options.file, &summary, &opened)?;
    }
    let withdrawn = opened.withdraw_recovery_codes().await?;
    opened.record_restore(&options.file).await?;
    let source = opened.source.clone();
    drop(opened);
    let restored = rehearsal.perform()?;
    let said = report(settings, &options.file, &restored, &source);
    warn_of(&revived, &withdrawn);
    output::after(format!("{} is restored", database_path(settings).display()), said)
}

fn no_key(data_dir: &Path) -> anyhow::Error {
    anyhow!(
        "there is no master key: put back {}, or set {} to it. {IF_LOST}",
        master_key::file_in(data_dir).display(),
        master_key::VARIABLES[0]
    )
}

fn refuse_while_running(data_dir: &Path) -> anyhow::Result<()> {
    if ServerLock::is_held(data_dir)? {
        let held = LockError::Held { data_dir: data_dir.to_owned(), holder: None };
        return Err(held).context("stop the server first");
    }
    Ok(())
}

fn confirm(
    settings: &Settings,
    backup: &Path,
    summary: &DatabaseSummary,
    opened: &Opened,
) -> anyhow::Result<()> {
    let database = database_path(settings);
    output::remark(format!(
        "{} holds {}; its newest event is of {}",
        backup.display(),
        describe(summary),
        to_rfc3339(opened.newest)
    ));
    ensure!(
        io::stdin().is_terminal(),
        "{} would be replaced: say --yes if it shall be",
        database.display()
    );
    output::remark(format!("Replace {}? Type yes:", database.display()));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!(UNCHANGED);
    }
    Ok(())
}

fn report(
    settings: &Settings,
    backup: &Path,
    restored: &Restored,
    source: &Source,
) -> anyhow::Result<()> {
    let database = database_path(settings);
    let holds = describe(&restored.summary);
    let said = output::line(format!("{}: {holds}, from {}", database.display(), backup.display()));
    if let Some(previous) = &restored.previous {
        output::remark(format!("the database that was there is {} now", previous.display()));
    }
    match source {
        Source::Environment(variable) => output::remark(format!(
            "it opens with the master key in {variable}: start the server so"
        )),
        Source::NewFile(path) => output::remark(format!(
            "the new master key is in {}: keep a copy of it elsewhere",
            path.display()
        )),
        Source::File(_) | Source::Interrupted(_) => {}
    }
    Ok(said?)
}

fn warn_of(revived: &Revived, withdrawn: &[String]) {
    output::remark(
        "WARNING: what was revoked, disabled, replaced or withdrawn after the backup was made, \
         passwords, keys and tokens too, is in force again, and what was registered since is gone. \
         Enrolment codes that were used since are good again: withdraw those that shall not be, with \
         `countersign admin invitations`",
    );
    if !withdrawn.is_empty() {
        let names = withdrawn.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = withdrawn.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        output::remark(format!(
            "recovery codes that may have been used since are withdrawn, of {names}{more}: \
             `countersign admin invite NAME --recover` makes another"
        ));
    }
    name(
        "shut out again, with `countersign admin keys revoke`, `accounts disable` and, for every \
         signing key at once, `signing-keys rotate --withdraw`:",
        &revived.keys_and_accounts,
    );
    name(
        "open again by the passwords, recovery codes and passkeys that opened them when the backup was \
         made; only their owners can end that, with `countersign keyring online password` or `delete`:",
        &revived.keyrings,
    );
}

/// Names `items` below `head`, if there are any.
fn name(head: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    output::remark(head);
    for item in items {
        output::remark(format!("  {item}"));
    }
}
