//! Where the master key comes from: the environment, or a file that the first start makes.
//!
//! A change of the master key writes the new key to `master.key.new`, changes the vault, and only
//! then gives the file its name, `master.key`. If it is interrupted, both files are there. The
//! vault shows which of the keys is valid, and the next start removes or renames the other.

use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use countersign_authority::{
    keys::vault::{MasterKey, Vault, VaultError},
    ports::VaultStore,
};
use countersign_protocol::ports::Random;
use countersign_system::SystemRandom;
use zeroize::Zeroizing;

use crate::{
    output,
    secret_file::{self, Keeper},
};

/// The variables that may hold the master key; the first one that is set counts.
pub(crate) const VARIABLES: [&str; 2] = ["COUNTERSIGN_MASTER_KEY", "NOT_MY_KEY"];

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
    /// In this file, which an interrupted change of the master key has left.
    Interrupted(PathBuf),
    /// In this file, which was made just now.
    NewFile(PathBuf),
}

impl Source {
    /// The place, for a sentence: a path or the name of a variable.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Environment(variable) => (*variable).to_owned(),
            Self::File(path) | Self::Interrupted(path) | Self::NewFile(path) => {
                path.display().to_string()
            }
        }
    }
}

/// The path of the key file in a data directory.
pub(crate) fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("master.key")
}

/// The path of the file that holds the new key while the master key is being changed.
pub(crate) fn next_file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("master.key.new")
}

/// The keys that may be the master key, the likeliest first: the key in the environment, or else
/// the keys in the key files.
///
/// `may_create` says whether a missing file may be made: only where there is no database yet, since
/// a new key could open nothing of an old one.
pub(crate) fn find(
    data_dir: &Path,
    may_create: bool,
    random: &dyn Random,
) -> anyhow::Result<Vec<Found>> {
    let found = present(data_dir)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let path = file_in(data_dir);
    if may_create {
        let key = MasterKey::generate(random);
        write_new(&path, &key)?;
        return Ok(vec![Found { key, source: Source::NewFile(path) }]);
    }
    bail!(
        "there is no master key: put back {}, or set {} (or {}). If it is lost for good, `countersign \
         admin rekey --abandon-signing-keys` makes a new one: accounts, keys and passwords stay",
        path.display(),
        VARIABLES[0],
        VARIABLES[1]
    )
}

/// The keys that [`find`] finds without making one.
pub(crate) fn present(data_dir: &Path) -> anyhow::Result<Vec<Found>> {
    match from_environment()? {
        Some(found) => Ok(vec![found]),
        None => from_files(data_dir),
    }
}

/// All keys that exist: the one in the environment and those in the key files.
pub(crate) fn all(data_dir: &Path) -> anyhow::Result<Vec<Found>> {
    let mut all: Vec<_> = from_environment()?.into_iter().collect();
    all.extend(from_files(data_dir)?);
    Ok(all)
}

/// Refuses to begin a database with a key that can be guessed. `NOT_MY_KEY` is what setups of
/// another server make of it, and is warned of instead.
pub(crate) fn refuse_weak_beginning(data_dir: &Path) -> anyhow::Result<()> {
    let found = match from_environment()? {
        Some(found) => Some(found),
        None => from_files(data_dir)?.into_iter().next(),
    };
    match found {
        Some(Found { key, source }) if key.is_weak() => match source {
            Source::Environment(variable) if variable == VARIABLES[1] => Ok(()),
            source => Err(weak(&source.place())),
        },
        _ => Ok(()),
    }
}

/// Refuses a guessable new key.
pub(crate) fn refuse_weak(key: &MasterKey, place: &str) -> anyhow::Result<()> {
    if key.is_weak() { Err(weak(place)) } else { Ok(()) }
}

fn weak(place: &str) -> anyhow::Error {
    anyhow!(
        "the master key in {place} can be guessed by whoever gets the database: take 32 random bytes \
         (`openssl rand -base64 32`), or a passphrase of 20 characters and more, 8 of them different at \
         least. With none at all the first start makes one, in master.key"
    )
}

/// Warns of a guessable key that the database was made with.
pub(crate) fn warn_if_weak(Found { key, source }: &Found) {
    if key.is_weak() {
        output::remark(format!(
            "WARNING: the master key in {} can be guessed by whoever gets the database; change it: stop \
             the server, `countersign admin rekey`",
            source.place()
        ));
    }
}

/// Whether a master key of this program is in the environment. (The other variable is that of
/// another server, whose setups set it for the first start too.)
pub(crate) fn is_given() -> bool {
    env::var_os(VARIABLES[0]).is_some_and(|value| !value.is_empty())
}

/// Advice if the key of the present database is lost.
pub(crate) const IF_LOST: &str =
    "If it is lost for good: `countersign admin rekey --abandon-signing-keys`";

/// Opens the vault of `store` with the key in `keys` that fits, and returns both. The error ends
/// with the advice `if_lost`, for the case that nobody has the key any more.
pub(crate) async fn open_vault(
    data_dir: &Path,
    keys: Vec<Found>,
    store: &dyn VaultStore,
    if_lost: &str,
) -> anyhow::Result<(Vault, Found)> {
    let tried: Vec<_> = keys.iter().map(|found| found.source.place()).collect();
    for found in keys {
        match Vault::open(store, &found.key, &SystemRandom).await {
            Ok(vault) => return Ok((vault, found)),
            Err(VaultError::WrongMasterKey) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let tried = tried.join(" and ");
    if let Some(file) = file_that_opens(data_dir, store).await {
        bail!(
            "wrong master key in {tried}: it must hold the one of {}, or not be set",
            file.place()
        );
    }
    bail!(
        "wrong master key in {tried}: the database was made with another one; put that one back, \
         or set {} to it. {if_lost}",
        VARIABLES[0]
    )
}

/// Puts the key files in order after an interrupted change of the master key: `found`, the key that
/// opens the vault, gets the name `master.key`, and a key that opens nothing is removed. The caller
/// must hold the server's lock, because a change in progress has the same files.
pub(crate) fn settle(data_dir: &Path, found: Found) -> anyhow::Result<Found> {
    let (path, next) = (file_in(data_dir), next_file_in(data_dir));
    let describe = || format!("cannot put {} in order", next.display());
    for file in [&path, &next] {
        secret_file::remove(&secret_file::unfinished(file)).with_context(describe)?;
    }
    if matches!(found.source, Source::Interrupted(_)) {
        adopt_next(data_dir)?;
        return Ok(Found { source: Source::Interrupted(path), ..found });
    }
    secret_file::remove(&next).with_context(describe)?;
    Ok(found)
}

/// Renames `master.key.new` to `master.key`, durably. The old `master.key` is lost.
pub(crate) fn adopt_next(data_dir: &Path) -> anyhow::Result<()> {
    let (path, next) = (file_in(data_dir), next_file_in(data_dir));
    let describe = || format!("cannot rename {} to {}", next.display(), path.display());
    fs::rename(&next, &path).and_then(|()| secret_file::sync(data_dir)).with_context(describe)
}

/// Reads a key file of a data directory; `None` when there is none.
pub(crate) fn read(path: &Path) -> anyhow::Result<Option<MasterKey>> {
    read_or(path, &format!("set {} instead", VARIABLES[0]))
}

/// Reads a key file; `None` when there is none. `otherwise` says how else the key can be given.
pub(crate) fn read_or(path: &Path, otherwise: &str) -> anyhow::Result<Option<MasterKey>> {
    let describe = || format!("cannot read {}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(describe),
    };
    let metadata = file.metadata().with_context(describe)?;
    secret_file::check(path, &metadata, Keeper::Service, otherwise)?;
    // Allocated at its final size: a buffer that grows leaves copies behind.
    let length = usize::try_from(metadata.len()).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(length.saturating_add(1)));
    file.read_to_string(&mut text).with_context(describe)?;
    let key = MasterKey::parse(&text).with_context(|| path.display().to_string())?;
    Ok(Some(key))
}

/// Reads the key in the environment variable `name`; `None` when it is not set, or empty.
pub(crate) fn read_variable(name: &str) -> anyhow::Result<Option<MasterKey>> {
    let Some(text) = env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.into_string().ok().map(Zeroizing::new);
    let text = text.with_context(|| format!("{name} is not UTF-8"))?;
    Ok(Some(MasterKey::parse(&text).with_context(|| format!("{name} is set"))?))
}

/// Writes a key to a new file that only its owner can read, durably.
pub(crate) fn write_new(path: &Path, key: &MasterKey) -> anyhow::Result<()> {
    ensure!(fs::symlink_metadata(path).is_err(), "{} exists already", path.display());
    let text = Zeroizing::new(format!("{}\n", *key.reveal()));
    secret_file::create(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn from_environment() -> anyhow::Result<Option<Found>> {
    for variable in VARIABLES {
        if let Some(key) = read_variable(variable)? {
            return Ok(Some(Found { key, source: Source::Environment(variable) }));
        }
    }
    Ok(None)
}

fn from_files(data_dir: &Path) -> anyhow::Result<Vec<Found>> {
    let (path, next) = (file_in(data_dir), next_file_in(data_dir));
    let present = read(&path)?.map(|key| Found { key, source: Source::File(path) });
    let next = read(&next)?.map(|key| Found { key, source: Source::Interrupted(next) });
    Ok(present.into_iter().chain(next).collect())
}

/// The key file that opens the vault, if the environment's key does not.
async fn file_that_opens(data_dir: &Path, store: &dyn VaultStore) -> Option<Source> {
    from_environment().ok()??;
    for found in from_files(data_dir).ok()? {
        if Vault::open(store, &found.key, &SystemRandom).await.is_ok() {
            return Some(found.source);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn a_key_is_written_whole_for_its_owner_only_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = file_in(dir.path());
        let key = MasterKey::generate(&SystemRandom);
        write_new(&path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*read(&path).unwrap().unwrap().reveal(), *key.reveal());
        let other = MasterKey::generate(&SystemRandom);
        assert!(write_new(&path, &other).is_err());
        assert_eq!(*read(&path).unwrap().unwrap().reveal(), *key.reveal());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_command_left_of_a_key_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (file_in(dir.path()), MasterKey::generate(&SystemRandom));
        write_new(&path, &key).unwrap();
        for of in [&path, &next_file_in(dir.path())] {
            fs::write(secret_file::unfinished(of), "a part of a key").unwrap();
        }
        settle(dir.path(), Found { key, source: Source::File(path) }).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        if chown(dir.path(), Some(12_345), Some(12_345)).is_err() {
            // Only root can give files away, and so only root can have this trouble.
            return;
        }
        let path = file_in(dir.path());
        write_new(&path, &MasterKey::generate(&SystemRandom)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 12_345);
    }

    #[test]
    fn an_empty_key_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = file_in(dir.path());
        write_new(&path, &MasterKey::generate(&SystemRandom)).unwrap();
        fs::write(&path, "\n").unwrap();
        let error = read(&path).err().unwrap();
        assert!(format!("{error:#}").contains("master.key: the master key is empty"));
    }
}
