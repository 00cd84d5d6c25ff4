//! Whose database a file is, before it is opened.

use std::path::Path;

use super::connection::connect_immutable;
use crate::installation_id::{self, InstallationId};

/// Reads the id from the database file alone, without its log. `None` when the id is not in the
/// file or cannot be read. Nothing is changed.
///
/// SQLite trusts any log that lies beside a database. If the wrong file lay beside the log of the
/// right one, SQLite would write the log's content into the wrong file, and the log would be lost.
/// So the file is checked before it is opened.
pub fn installation_in_file(database: &Path) -> Option<InstallationId> {
    let database = std::path::absolute(database).ok()?;
    connect_immutable(&database).ok().and_then(|connection| installation_id::read(&connection).ok())
}
