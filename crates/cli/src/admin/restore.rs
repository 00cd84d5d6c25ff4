//! `countersign admin restore`.
//!
//! Everything that could fail is tried on a copy of the backup first: whether this program can
//! read it, whether the master key opens it, and the entry in the audit trail. Only then does the
//! copy take the place of the database, in the way that `countersign-store` makes safe.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, IsTerminal as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use countersign_authority::{
    Administration,
    account::{AccountName, AccountStatus},
    audit::{AuditEvent, AuditFilter, EventKind, RecordedEvent},
    invitation,
    key_life::KeyState,
    ports::Ports,
};
use countersign_protocol::UnixTime;
use countersign_store::sqlite::{DatabaseSummary, LockError, Restored, ServerLock, verify_backup};

use super::{backup::describe, claim::Claim, open, rekey::abandon, require_vault, signing_keys};
use crate::{
    config::Settings,
    master_key::{self, Found, Source},
    output,
    server::{self, DataDir, Purpose, database_path},
    time::to_rfc3339,
};

/// What to do where the present key is not that of the backup.
const IF_LOST: &str = "Where the key was changed after the backup was made (`admin rekey`), the one of \
    that time is needed, which --keep-old has kept. If it is lost for good: `countersign admin \
    restore FILE --abandon-signing-keys`";

const UNCHANGED: &str = "nothing was restored or changed";
/// How many events of one kind are looked at to tell what a restore revives.
const MAX_LOOKED_AT: u32 = 1000;
/// How many revived keys and accounts are named.
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
    let revived = revived(settings, &opened).await.unwrap_or_default();
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

/// A copy of a backup in a directory of its own, which goes when this is dropped.
struct Rehearsal<'a> {
    settings: &'a Settings,
    /// The same, but for the copy.
    copied: Settings,
    _claim: Claim,
}

impl<'a> Rehearsal<'a> {
    fn begin(settings: &'a Settings, backup: &Path) -> anyhow::Result<Self> {
        let data_dir = &settings.data_dir;
        let private_dir = |path: &Path, recursive| {
            let describe = || format!("cannot make the directory {}", path.display());
            DirBuilder::new().recursive(recursive).mode(0o700).create(path).with_context(describe)
        };
        private_dir(data_dir, true)?;
        let claim = Claim::alone(data_dir)?;
        let directory = data_dir.join("restore-rehearsal");
        // One that was interrupted has left its copy.
        remove_dir(&directory).with_context(|| format!("cannot clear {}", directory.display()))?;
        private_dir(&directory, false)?;
        let copied = Settings { data_dir: directory, ..settings.clone() };
        let rehearsal = Self { settings, copied, _claim: claim };
        let copy = database_path(&rehearsal.copied);
        copy_private(backup, &copy)
            .with_context(|| format!("cannot copy {} to {}", backup.display(), copy.display()))?;
        Ok(rehearsal)
    }

    /// Opens the copy as a server would, which brings it up to date.
    async fn open(&self, keys: Vec<Found>) -> anyhow::Result<Opened> {
        let data_dir = server::open(&self.copied, Purpose::Rehearsal)?;
        let vaults = &*data_dir.ports.store;
        require_vault(vaults).await?;
        let directory = &self.settings.data_dir;
        let (vault, found) = master_key::open_vault(directory, keys, vaults, IF_LOST).await?;
        signing_keys::open_all(self.settings, &data_dir, &vault).await?;
        Opened::of(data_dir, found.source).await
    }

    /// Opens the copy without its master key, which is lost.
    async fn abandon(&self, yes: bool) -> anyhow::Result<Opened> {
        let data_dir = server::open(&self.copied, Purpose::Rehearsal)?;
        require_vault(&*data_dir.ports.store).await?;
        let source = abandon::of_backup(&self.settings.data_dir, &data_dir, yes).await?;
        Opened::of(data_dir, source).await
    }

    fn perform(&self) -> anyhow::Result<Restored> {
        let (copy, database) = (database_path(&self.copied), database_path(self.settings));
        Ok(countersign_store::sqlite::restore(&copy, &database)?)
    }
}

impl Drop for Rehearsal<'_> {
    fn drop(&mut self) {
        // The next restore tries again.
        let _: io::Result<()> = remove_dir(&self.copied.data_dir);
    }
}

/// The opened copy.
struct Opened {
    data_dir: DataDir,
    /// Where the key was that opens it.
    source: Source,
    /// The time of its newest audit event: it was made then or later.
    newest: UnixTime,
}

impl Opened {
    async fn of(data_dir: DataDir, source: Source) -> anyhow::Result<Self> {
        let newest = data_dir.ports.store.events(&AuditFilter::default(), 1).await?;
        let newest = newest.first().map_or(UnixTime::EPOCH, |recorded| recorded.event.at);
        Ok(Self { data_dir, source, newest })
    }

    async fn record_restore(&self, backup: &Path) -> anyhow::Result<()> {
        let ports = &self.data_dir.ports;
        let newest = to_rfc3339(self.newest);
        let detail = format!("from {}, whose newest event is of {newest}", backup.display());
        let event = AuditEvent::new(ports.clock.now(), EventKind::DatabaseRestored).detail(detail);
        Ok(ports.store.append(vec![event]).await?)
    }

    /// Withdraws the recovery codes that are unused in the backup: each may have been used since,
    /// and whoever has read it would get into the account. Returns the names of the accounts.
    ///
    /// Enrolment codes stay. What was registered with one since is gone, so its owner needs it again.
    async fn withdraw_recovery_codes(&self) -> anyhow::Result<Vec<String>> {
        let ports = &self.data_dir.ports;
        let administration = Administration::new(ports);
        let mut withdrawn = Vec::new();
        for made in ports.store.invitations(u32::MAX).await? {
            if let invitation::Purpose::Recover { .. } = made.purpose
                && made.used_at.is_none()
            {
                administration.withdraw_invitation(&made.code_hash).await?;
                withdrawn.extend(made.username.map(|username| username.to_string()));
            }
        }
        Ok(withdrawn)
    }
}

/// The keys and accounts that were shut out after the backup was made, in words. Fails when the
/// present database cannot be read, which may be why a backup is restored.
async fn revived(settings: &Settings, opened: &Opened) -> anyhow::Result<Vec<String>> {
    let (present, copy) = (&open(settings)?.ports, &opened.data_dir.ports);
    let since = |kind| AuditFilter {
        kind: Some(kind),
        since: Some(opened.newest),
        ..AuditFilter::default()
    };
    let mut revived = Vec::new();
    let revoked = present.store.events(&since(EventKind::KeyRevoked), MAX_LOOKED_AT).await?;
    for RecordedEvent { event, .. } in revoked {
        let Some(thumbprint) = event.thumbprint else { continue };
        if let Some((key, account)) = copy.store.credential(&thumbprint).await?
            && key.revoked_at.is_none()
        {
            let at = to_rfc3339(event.at);
            revived.push(format!("key {thumbprint} of {}, revoked at {at}", account.username));
        }
    }
    let disabled = present.store.events(&since(EventKind::AccountDisabled), MAX_LOOKED_AT).await?;
    for RecordedEvent { event, .. } in disabled {
        let Some(id) = event.account_id.map(AccountName::Id) else { continue };
        if let Some(account) = copy.store.account(&id).await?
            && account.status == AccountStatus::Active
        {
            let at = to_rfc3339(event.at);
            revived.push(format!("account {}, disabled at {at}", account.username));
        }
    }
    revived.extend(revived_signing_keys(present, copy, opened.newest).await?);
    Ok(revived)
}

/// The signing keys that work again, though they were withdrawn.
async fn revived_signing_keys(
    present: &Ports,
    copy: &Ports,
    newest: UnixTime,
) -> anyhow::Result<Vec<String>> {
    let now = copy.clock.now();
    let known = present.store.signing_keys().await?;
    let filter = AuditFilter {
        kind: Some(EventKind::SigningKeyRemoved),
        since: Some(newest),
        ..AuditFilter::default()
    };
    let removed = present.store.events(&filter, MAX_LOOKED_AT).await?;
    let mut revived = Vec::new();
    for key in copy.store.signing_keys().await? {
        let gone_at = match known.iter().find(|known| known.kid == key.kid) {
            Some(known) => {
                (known.life.state(now) == KeyState::Gone).then_some(known.life.expires_at)
            }
            None => removed
                .iter()
                .find(|removed| removed.event.thumbprint == Some(key.kid))
                .map(|removed| removed.event.at),
        };
        // One whose time is over in the backup as well does no harm.
        if let Some(at) = gone_at
            && key.life.state(now) != KeyState::Gone
        {
            let at = to_rfc3339(at);
            revived.push(format!("signing key {}, withdrawn at {at}", key.kid));
        }
    }
    Ok(revived)
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

fn warn_of(revived: &[String], withdrawn: &[String]) {
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
    if revived.is_empty() {
        return;
    }
    output::remark(
        "shut out again, with `countersign admin keys revoke`, `accounts disable` and, for every \
         signing key at once, `signing-keys rotate --withdraw`:",
    );
    for item in revived.iter().take(MAX_NAMED) {
        output::remark(format!("  {item}"));
    }
    if let Some(more) = revived.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        output::remark(format!("  and {more} more"));
    }
}

fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut copy).map(drop)
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
