//! Keeps administrative commands out of each other's way.

use std::{fs::File, io, path::Path};

use anyhow::Context as _;

/// A claim on a data directory. It is held until it is dropped or the process ends in any way.
///
/// Commands that change rows share the claim. A command that replaces the database, or a key that
/// others seal with, claims the directory alone. Claims wait for each other, but not for long. A
/// server has a lock of its own.
#[derive(Debug)]
pub(super) struct Claim {
    _directory: File,
}

impl Claim {
    /// Claims `data_dir`, shared with other commands.
    pub(super) fn shared(data_dir: &Path) -> anyhow::Result<Self> {
        Self::new(data_dir, File::lock_shared)
    }

    /// Claims `data_dir` alone.
    pub(super) fn alone(data_dir: &Path) -> anyhow::Result<Self> {
        Self::new(data_dir, File::lock)
    }

    fn new(data_dir: &Path, lock: fn(&File) -> io::Result<()>) -> anyhow::Result<Self> {
        let describe = || format!("cannot lock the directory {}", data_dir.display());
        let directory = File::open(data_dir).with_context(describe)?;
        lock(&directory).with_context(describe)?;
        Ok(Self { _directory: directory })
    }
}
