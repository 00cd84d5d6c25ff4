//! Where the master key comes from: the environment, or a file that the first start makes.

use std::{
    env, fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use countersign_authority::vault::MasterKey;
use countersign_protocol::ports::Random;
use zeroize::Zeroizing;

/// The variables that may hold the master key; the first one that is set counts.
const VARIABLES: [&str; 2] = ["COUNTERSIGN_MASTER_KEY", "NOT_MY_KEY"];

/// A master key and where it was found.
pub(crate) struct Found {
    pub(crate) key: MasterKey,
    pub(crate) source: Source,
}

/// Where a master key was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the environment variable of this name.
    Environment(&'static str),
    /// In this file, which was there.
    File(PathBuf),
    /// In this file, which was made just now.
    NewFile(PathBuf),
}

/// The path of the key file in a data directory.
pub(crate) fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("master.key")
}

/// The master key from the environment or the key file.
///
/// `may_create` says whether a missing file may be made: only where there is no database yet, since
/// a new key could open nothing of an old one.
pub(crate) fn find(
    data_dir: &Path,
    may_create: bool,
    random: &dyn Random,
) -> anyhow::Result<Found> {
    for variable in VARIABLES {
        if let Some(text) = env::var_os(variable) {
            let text = text.into_string().ok().map(Zeroizing::new);
            let text = text.with_context(|| format!("{variable} is not UTF-8"))?;
            let key = MasterKey::parse(&text).with_context(|| format!("{variable} is set"))?;
            return Ok(Found { key, source: Source::Environment(variable) });
        }
    }
    let path = file_in(data_dir);
    match read(&path)? {
        Some(key) => Ok(Found { key, source: Source::File(path) }),
        None if may_create => {
            let key = MasterKey::generate(random);
            write_new(&path, &key)?;
            Ok(Found { key, source: Source::NewFile(path) })
        }
        None => bail!(
            "the master key of this data directory is missing: put back {}, or set {}",
            path.display(),
            VARIABLES[0]
        ),
    }
}

/// Reads a key file; `None` when there is none.
pub(crate) fn read(path: &Path) -> anyhow::Result<Option<MasterKey>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
    };
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} can be read by others: chmod 600 {0}", path.display());
    }
    let key = MasterKey::parse(&text).with_context(|| path.display().to_string())?;
    Ok(Some(key))
}

/// Writes a key to a new file that only its owner can read, durably.
pub(crate) fn write_new(path: &Path, key: &MasterKey) -> anyhow::Result<()> {
    let describe = || format!("cannot write {}", path.display());
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).with_context(describe)?;
    let text = Zeroizing::new(format!("{}\n", *key.reveal()));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(describe)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::File::open(directory).and_then(|dir| dir.sync_all()).with_context(describe)
}
