//! How the commands of administrators open the database.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use countersign_authority::{
    keys::rekey::{Rekey, RekeyError},
    ports::{Ports, VaultStore},
};
use countersign_protocol::UnixTime;
use countersign_store::{
    postgres::{DatabaseUrl, PostgresStore},
    sqlite::{OpenError, SqliteStore, give_up_ballast},
};
use countersign_system::SystemRandom;

use super::claim::Claim;
use crate::{
    config::Settings,
    data_dir::{self, Purpose},
    database::Database,
    output, shared_database,
};

/// Opens the database, which must be there.
pub(super) fn open(settings: &Settings) -> anyhow::Result<Database> {
    match settings.database_url()? {
        Some(url) => shared_database::open(settings, &url, shared_database::Purpose::Command)
            .map(|(_, database)| database),
        None => open_file(settings, Purpose::Command).map(|(_, database)| database),
    }
}

/// Opens the database of a data directory, which must be there.
pub(super) fn open_file(
    settings: &Settings,
    purpose: Purpose,
) -> anyhow::Result<(Arc<SqliteStore>, Database)> {
    require_data_dir(settings)?;
    data_dir::open_accepting(settings, purpose, false).map_err(|error| match error.downcast_ref() {
        Some(OpenError::Missing { .. }) => anyhow!(
            "there is no database in {}: name another directory with --data-dir. If `countersign admin \
             move` has moved it, set database_url, and leave the file of before where it is. If it was lost, \
             put it back or restore a backup; the first one is made by `countersign serve`",
            settings.data_dir.display()
        ),
        _ => error,
    })
}

/// Opens the database to change something in it. The claim keeps other commands from replacing a file
/// meanwhile; nothing replaces a database that servers share.
pub(super) fn open_to_change(settings: &Settings) -> anyhow::Result<(Option<Claim>, Database)> {
    if settings.database_url()?.is_some() {
        return Ok((None, open(settings)?));
    }
    require_data_dir(settings)?;
    make_room_if_full(settings);
    Ok((Some(Claim::shared(&settings.data_dir)?), open(settings)?))
}

/// The database that servers share, and its URL, for a command that is about such a one.
pub(super) fn open_shared(
    settings: &Settings,
    purpose: shared_database::Purpose,
) -> anyhow::Result<(DatabaseUrl, Arc<PostgresStore>, Database)> {
    let url = require_url(settings)?;
    let (store, database) = shared_database::open(settings, &url, purpose)?;
    Ok((url, store, database))
}

/// Refuses a command that is about a database that servers share, where there is none.
pub(super) fn require_url(settings: &Settings) -> anyhow::Result<DatabaseUrl> {
    settings.database_url()?.context(
        "this is for a PostgreSQL database, and none is named: give --database-url \
         postgres://USER@HOST/DATABASE. A database in the data directory is made, and brought up to date, by \
         `countersign serve`",
    )
}

/// Refuses a command that copies files, where the database is no file. `instead` says what to do.
pub(super) fn require_file(settings: &Settings, instead: &str) -> anyhow::Result<()> {
    match settings.database_url()? {
        Some(url) => bail!("{url} is no file: {instead}"),
        None => Ok(()),
    }
}

/// On a full disk, removes the ballast that the server keeps for this case.
pub(super) fn make_room_if_full(settings: &Settings) {
    match give_up_ballast(&data_dir::database_path(settings)) {
        Ok(Some(path)) => output::remark(format!(
            "the disk is full: removed {}, which was kept for that, to have room",
            path.display()
        )),
        Ok(None) => {}
        Err(error) => output::remark(format!("the disk cannot be asked how full it is: {error}")),
    }
}

pub(super) fn require_data_dir(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.data_dir.is_dir(),
        "there is no data directory {}: name it with --data-dir, or let `countersign serve` make \
         it",
        settings.data_dir.display()
    );
    Ok(())
}

/// Refuses a database that no server has ever used: it has no vault that a key could open.
pub(super) async fn require_vault(store: &dyn VaultStore) -> anyhow::Result<()> {
    match store.vault().await? {
        Some(_) => Ok(()),
        None => Err(RekeyError::Empty.into()),
    }
}

/// A change of the master key of the store behind `ports`.
pub(super) fn rekey(ports: &Ports, now: UnixTime) -> Rekey<'_> {
    Rekey { vaults: &*ports.store, signing_keys: &*ports.store, now, random: &SystemRandom }
}
