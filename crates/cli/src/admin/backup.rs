//! `countersign admin backup`.
//!
//! The event about a backup is written after the backup was made, so the backup does not contain
//! it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use countersign_authority::model::audit::{AuditEvent, EventKind};
use countersign_store::sqlite::DatabaseSummary;
use countersign_system::SystemRandom;

use super::{
    database::{open_file, require_file},
    words::count,
};
use crate::{config::Settings, data_dir::Purpose, master_key, output};

#[derive(Args)]
pub(super) struct Options {
    /// The file to make; it must not exist
    file: PathBuf,
}

pub(super) async fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    require_file(
        settings,
        "copy it with pg_basebackup and archived WAL, or with pg_dump; see \"Many nodes\" in \
         docs/operations.md",
    )?;
    let (store, database) = open_file(settings, Purpose::Command)?;
    let summary = store.backup(&options.file).context("there is no backup")?;
    let path = options.file.display();
    let said = output::line(format!("{path}: {}", describe(&summary)));
    output::remark("the backup is whole");
    let keys = master_key::find(&settings.data_dir, false, &SystemRandom).unwrap_or_default();
    let place = keys.first().map_or("the master key".to_owned(), |found| found.source.place());
    output::remark(format!(
        "the master key is not in it, and a restore needs it: keep a copy of {place}, elsewhere"
    ));
    let ports = &database.ports;
    let event = AuditEvent::new(ports.clock.now(), EventKind::DatabaseBackedUp);
    let noted = ports.store.append(vec![event]).await;
    let done = format!("the backup {path} is whole");
    output::after(&done, said.context("it could not be said on standard output"))?;
    output::after(done, noted.context("the audit trail does not know of the backup"))
}

/// The content of a database, in words.
pub(super) fn describe(summary: &DatabaseSummary) -> String {
    [
        count(summary.accounts, "account"),
        count(summary.credentials, "key"),
        count(summary.invitations, "invitation"),
        count(summary.signing_keys, "signing key"),
        count(summary.audit_events, "audit event"),
    ]
    .join(", ")
}
