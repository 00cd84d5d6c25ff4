//! The mark of a house that is moving: from before everything is committed in the new database until the file is
//! put aside, nobody may take the file for the house.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::{config::Settings, data_dir::database_path, secret_file};

/// A move that is under way, or was interrupted.
pub(crate) struct MovingMark(PathBuf);

impl MovingMark {
    /// That of the file of `settings`, whether it is there or not.
    fn of(settings: &Settings) -> Self {
        let mut path = database_path(settings).into_os_string();
        path.push(".moving");
        Self(path.into())
    }

    /// Makes the mark, which says where to. Returns whether it was there: an earlier move was interrupted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn make(settings: &Settings, to: &str) -> anyhow::Result<(Self, bool)> {
        let mark = Self::of(settings);
        if mark.0.exists() {
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
    pub(crate) fn refuse(settings: &Settings) -> anyhow::Result<()> {
        let mark = Self::of(settings);
        match fs::read_to_string(&mark.0) {
            Ok(to) => bail!(
                "{}: a move of this database to {} was interrupted, and may have been done: run `countersign \
                 admin move` with that URL again, which finds out",
                mark.path().display(),
                to.trim()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| mark.path().display().to_string()),
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
