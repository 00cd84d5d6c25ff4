//! The mark of a house that is moving: from before everything is committed in the new database until the file is
//! put aside, nobody may take the file for the house.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

use crate::secret_file;

/// A move that is under way, or was interrupted.
pub(crate) struct MovingMark(PathBuf);

impl MovingMark {
    /// That of the file `database`, whether it is there or not.
    fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(".moving");
        Self(path.into())
    }

    /// Makes the mark, which says where to. Returns whether it was there: an earlier move was interrupted.
    ///
    /// # Errors
    /// When that one went elsewhere, or the mark cannot be written.
    pub(crate) fn make(database: &Path, to: &str) -> anyhow::Result<(Self, bool)> {
        let mark = Self::of(database);
        if let Some(before) = mark.read()? {
            ensure!(
                before == to,
                "{}: a move of this database to {before} was interrupted, and may have been done: it cannot \
                 be moved to {to} as well",
                mark.path().display()
            );
            return Ok((mark, true));
        }
        secret_file::create(&mark.0, format!("{to}\n").as_bytes())
            .with_context(|| format!("cannot write {}", mark.path().display()))?;
        Ok((mark, false))
    }

    /// Refuses if the house is moving.
    ///
    /// # Errors
    /// Says where to.
    pub(crate) fn refuse(database: &Path) -> anyhow::Result<()> {
        let mark = Self::of(database);
        let Some(to) = mark.read()? else { return Ok(()) };
        bail!(
            "{}: a move of this database to {to} was interrupted, and may have been done: run `countersign \
             admin move` with that URL again, which finds out",
            mark.path().display()
        )
    }

    /// Where to, if the mark is there.
    fn read(&self) -> anyhow::Result<Option<String>> {
        match fs::read_to_string(&self.0) {
            Ok(to) => Ok(Some(to.trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| self.path().display().to_string()),
        }
    }

    /// Removes the mark.
    ///
    /// # Errors
    /// When it stays.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        fs::remove_file(&self.0).with_context(|| format!("cannot remove {}", self.path().display()))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}
