//! The rehearsal of a restore: everything that could fail, on a copy of the backup.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::Context as _;
use countersign_authority::{
    accounts::administration::Administration,
    model::{
        audit::{AuditEvent, AuditFilter, EventKind},
        invitation,
    },
};
use countersign_protocol::UnixTime;
use countersign_store::sqlite::Restored;

use super::super::{claim::Claim, database::require_vault, rekey::abandon, signing_keys};
use crate::{
    config::Settings,
    data_dir::{self, Purpose, database_path},
    database::Database,
    master_key::{self, Found, Source},
    time::to_rfc3339,
};

/// Advice if the present master key does not open the backup.
pub(super) const IF_LOST: &str = "Where the key was changed after the backup was made (`admin rekey`), the one of \
    that time is needed, which --keep-old has kept. If it is lost for good: `countersign admin \
    restore FILE --abandon-signing-keys`";

/// A copy of a backup in a directory of its own, which is removed when this is dropped.
pub(super) struct Rehearsal<'a> {
    settings: &'a Settings,
    /// The settings, with the copy as the database.
    copied: Settings,
    _claim: Claim,
}

impl<'a> Rehearsal<'a> {
    pub(super) fn begin(settings: &'a Settings, backup: &Path) -> anyhow::Result<Self> {
        let data_dir = &settings.data_dir;
        let private_dir = |path: &Path, recursive| {
            let describe = || format!("cannot make the directory {}", path.display());
            DirBuilder::new().recursive(recursive).mode(0o700).create(path).with_context(describe)
        };
        private_dir(data_dir, true)?;
        let claim = Claim::alone(data_dir)?;
        let directory = data_dir.join("restore-rehearsal");
        // An interrupted restore has left its copy.
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
    pub(super) async fn open(&self, keys: Vec<Found>) -> anyhow::Result<Opened> {
        let database = data_dir::open(&self.copied, Purpose::Rehearsal)?;
        let vaults = &*database.ports.store;
        require_vault(vaults).await?;
        let directory = &self.settings.data_dir;
        let (vault, found) = master_key::open_vault(directory, keys, vaults, IF_LOST).await?;
        signing_keys::open_all(self.settings, &database, &vault).await?;
        Opened::of(database, found.source).await
    }

    /// Opens the copy without the lost master key.
    pub(super) async fn abandon(&self, yes: bool) -> anyhow::Result<Opened> {
        let database = data_dir::open(&self.copied, Purpose::Rehearsal)?;
        require_vault(&*database.ports.store).await?;
        let source = abandon::of_backup(&self.settings.data_dir, &database, yes).await?;
        Opened::of(database, source).await
    }

    pub(super) fn perform(&self) -> anyhow::Result<Restored> {
        let (copy, database) = (database_path(&self.copied), database_path(self.settings));
        Ok(countersign_store::sqlite::restore(&copy, &database)?)
    }
}

impl Drop for Rehearsal<'_> {
    fn drop(&mut self) {
        // The next restore removes it.
        let _: io::Result<()> = remove_dir(&self.copied.data_dir);
    }
}

/// The opened copy.
pub(super) struct Opened {
    pub(super) database: Database,
    /// Where the key was that opens it.
    pub(super) source: Source,
    /// The time of its newest audit event: the backup was made then or later.
    pub(super) newest: UnixTime,
}

impl Opened {
    async fn of(database: Database, source: Source) -> anyhow::Result<Self> {
        let newest = database.ports.store.events(&AuditFilter::default(), 1).await?;
        let newest = newest.first().map_or(UnixTime::EPOCH, |recorded| recorded.event.at);
        Ok(Self { database, source, newest })
    }

    pub(super) async fn record_restore(&self, backup: &Path) -> anyhow::Result<()> {
        let ports = &self.database.ports;
        let newest = to_rfc3339(self.newest);
        let detail = format!("from {}, whose newest event is of {newest}", backup.display());
        let event = AuditEvent::new(ports.clock.now(), EventKind::DatabaseRestored).detail(detail);
        Ok(ports.store.append(vec![event]).await?)
    }

    /// Withdraws the recovery codes that are unused in the backup. Each may have been used since,
    /// and anybody who has read it could take over the account. Returns the names of the accounts.
    ///
    /// Enrolment codes stay: accounts registered with them since are gone, so their owners need the
    /// codes again.
    pub(super) async fn withdraw_recovery_codes(&self) -> anyhow::Result<Vec<String>> {
        let ports = &self.database.ports;
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
