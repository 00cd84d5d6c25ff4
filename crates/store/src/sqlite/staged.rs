//! The staged file of a restore, which lies beside the database until the restore has come to its end.

use std::path::{Path, PathBuf};

use super::files;

/// Where the file for `database` lies.
pub(super) fn path_for(database: &Path) -> PathBuf {
    files::with_suffix(database, ".restoring")
}

/// Whether a restore of `database` was interrupted while it moved files.
pub(super) fn is_there(database: &Path) -> bool {
    path_for(database).exists()
}
