//! Whether a start is the first one of its data directory.
//!
//! A first start makes a database, a master key and signing keys. If there was a database before,
//! clients would see that as a loss of all accounts. So where there is, or may have been, a
//! database, a first start must be asked for.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::bail;
use countersign_store::sqlite::{Memory, OpenError, Presence, ServerLock, make_room, presence};

use crate::{
    config::Settings,
    data_dir::{Purpose, database_path},
    master_key, output,
};

/// Whether this is a first start: [`Purpose::FirstStart`] or [`Purpose::Serve`]. `anew` says that a
/// new database was asked for.
pub(crate) fn decide(
    settings: &Settings,
    lock: &ServerLock,
    anew: bool,
) -> anyhow::Result<Purpose> {
    let (database, directory) = (database_path(settings), &settings.data_dir);
    let keys = [master_key::file_in(directory), master_key::next_file_in(directory)];
    let presence = presence(&database, lock, &keys);
    match presence {
        Presence::Database if !anew => return Ok(Purpose::Serve),
        Presence::Gone(traces) if !anew => {
            return Err(OpenError::Gone { path: database, traces }.into());
        }
        Presence::NeverSeen if !anew && master_key::is_given() => bail!(Unannounced(database)),
        Presence::Beginning | Presence::Database | Presence::Gone(_) | Presence::NeverSeen => {}
    }
    master_key::refuse_weak_beginning(directory)?;
    match presence {
        Presence::Beginning => Ok(Purpose::FirstStart),
        Presence::Database | Presence::Gone(_) | Presence::NeverSeen if anew => {
            begin_anew(&database, lock)
        }
        Presence::Database | Presence::Gone(_) | Presence::NeverSeen => begin(lock),
    }
}

fn begin_anew(database: &Path, lock: &ServerLock) -> anyhow::Result<Purpose> {
    if let Some(aside) = make_room(database)? {
        output::remark(format!("what was left of the old database is {} now", aside.display()));
    }
    begin(lock)
}

/// Until this start has succeeded, the next one is a first start too.
fn begin(lock: &ServerLock) -> anyhow::Result<Purpose> {
    lock.remember(Memory::Beginning)?;
    Ok(Purpose::FirstStart)
}

/// A master key means that there is an installation.
#[derive(Debug)]
struct Unannounced(PathBuf);

impl fmt::Display for Unannounced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: there is no database, but {} is set, as it is where a server has run before. Is the \
             right volume mounted, and --data-dir right? Restore a backup with `countersign admin \
             restore`, or, if this is the first start, say so once: `countersign serve --new`",
            self.0.display(),
            master_key::VARIABLES[0]
        )
    }
}
