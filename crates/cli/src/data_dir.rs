//! Opens the database of a data directory.

use std::{path::PathBuf, sync::Arc};

use anyhow::ensure;
use countersign_authority::ports::Clock as _;
use countersign_protocol::UnixTime;
use countersign_store::{
    InstallationId,
    sqlite::{Memory, OpenMode, ServerLock, SqliteOptions, SqliteStore, installation_in_file},
};
use countersign_system::SystemClock;

use crate::{
    administrator::administrator,
    config::Settings,
    database::{Database, Engine},
    moving_mark::MovingMark,
    ownership,
};

/// The path of the database of `settings`: in the data directory, unless it is an absolute one.
pub(crate) fn database_path(settings: &Settings) -> PathBuf {
    settings.data_dir.join(&settings.database)
}

/// The purpose of opening a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command changes files that no server may have open.
    Alone,
    /// A command looks at a database, or changes rows in it. It must be there.
    Command,
    /// The house moves, and may have begun to before.
    Move,
    /// A server starts where there never was a database.
    FirstStart,
    /// A restore tries out a copy of a backup.
    Rehearsal,
    /// A server starts on the database that was there before.
    Serve,
}

/// Opens the database; makes it for a first start.
pub(crate) fn open(settings: &Settings, purpose: Purpose) -> anyhow::Result<Database> {
    open_accepting(settings, purpose, false).map(|(_, database)| database)
}

/// The same; `accept_loss` says that a missing write-ahead log is accepted.
pub(crate) fn open_accepting(
    settings: &Settings,
    purpose: Purpose,
    accept_loss: bool,
) -> anyhow::Result<(Arc<SqliteStore>, Database)> {
    let (mode, is_server) = match purpose {
        Purpose::Alone | Purpose::Move => (OpenMode::Existing, true),
        Purpose::Command => (OpenMode::Existing, false),
        Purpose::FirstStart => (OpenMode::CreateOrUpgrade, true),
        Purpose::Rehearsal => (OpenMode::CreateOrUpgrade, false),
        Purpose::Serve => (OpenMode::Upgrade, true),
    };
    if purpose != Purpose::Move {
        MovingMark::refuse(&database_path(settings))?;
    }
    if mode != OpenMode::CreateOrUpgrade
        && let Some(found) = installation_in_file(&database_path(settings))
    {
        check_installation(settings, found)?;
    }
    let disk_reserve = if is_server { settings.limits.disk_reserve_bytes } else { 0 };
    let now = SystemClock::new().now();
    let defaults = SqliteOptions::default();
    let administrator = match purpose {
        Purpose::Alone | Purpose::Command | Purpose::Move | Purpose::Rehearsal => {
            Some(administrator(settings)?)
        }
        Purpose::FirstStart | Purpose::Serve => None,
    };
    let options = SqliteOptions {
        mode,
        is_server,
        accept_loss,
        administrator,
        disk_reserve,
        now,
        ..defaults
    };
    let store = SqliteStore::open(&database_path(settings), &options)
        .map_err(|error| ownership::explain(&settings.data_dir, error.into()))?;
    let store = Arc::new(store);
    // Before a first start there was nothing to be used.
    let since = if purpose == Purpose::FirstStart { UnixTime::EPOCH } else { now };
    let database = Database::of(Engine::Sqlite(Arc::clone(&store)), settings, since);
    Ok((store, database))
}

/// Refuses a database of another installation than the one that was used here before.
pub(crate) fn check_installation(settings: &Settings, found: InstallationId) -> anyhow::Result<()> {
    let Memory::Installation(expected) = ServerLock::memory_in(&settings.data_dir)? else {
        return Ok(());
    };
    ensure!(
        found == expected,
        "{}: this is the database of another installation than the one that was used in {2} \
         before. Put that one back, or use `countersign admin restore`; if this one is meant to be \
         here, delete {1}",
        database_path(settings).display(),
        settings.data_dir.join(ServerLock::FILE_NAME).display(),
        settings.data_dir.display(),
    );
    Ok(())
}
