//! What can go wrong with a keyring.

use std::io;
use std::path::PathBuf;

use super::cost::KdfCostError;
use super::entry::EntryName;
use super::merge::Differing;

/// The largest keyring file that is read or written, in bytes.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why a keyring could not be made, opened or changed. The file is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is something at the path of a new keyring.
    #[error("{} already exists; it is not overwritten", .0.display())]
    AlreadyExists(PathBuf),
    /// The decrypted content is not a list of entries that this version understands.
    #[error("the keyring was decrypted, but its content cannot be used: {0}")]
    Content(String),
    /// The file's parameters are out of bounds: too little protection, or too much memory or time.
    #[error("the keyring file is refused: {0}")]
    Cost(#[source] KdfCostError),
    /// The file is a keyring file, but its form is broken.
    #[error("the keyring file is damaged: {0}")]
    Damaged(String),
    /// Entries of another keyring have the names of entries here, or their keys, and say something else.
    #[error(transparent)]
    Differing(#[from] Differing),
    /// The key could not be derived, for lack of memory.
    #[error("cannot derive the key, for which {} MiB of memory are needed: {cause}", memory_kib / 1024)]
    Derivation {
        /// The memory that Argon2id needs, in KiB.
        memory_kib: u32,
        /// What the function said.
        cause: String,
    },
    /// The file has no content.
    #[error("the keyring file is empty")]
    Empty,
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// The file itself is a mount point, so no other file can take its place.
    #[error(
        "{} is mounted as a single file and cannot be replaced: mount the directory that it lies in",
        .0.display()
    )]
    Mounted(PathBuf),
    /// Another entry has that name.
    #[error("the keyring already has an entry named {0}: name this one otherwise")]
    NameTaken(EntryName),
    /// A later version of this program wrote the file.
    #[error("the keyring file has version {0}, which needs a newer countersign")]
    NewerVersion(u64),
    /// No entry has that name.
    #[error("the keyring has no entry named {0}")]
    NoSuchEntry(String),
    /// The path is a directory, a pipe or a device.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The file is something else.
    #[error("this is not a keyring file")]
    NotAKeyring,
    /// There is no file or directory at the path.
    #[error("{} does not exist", .0.display())]
    NotFound(PathBuf),
    /// Another program has given the file another passphrase since it was opened here.
    #[error("another program has changed the passphrase meanwhile; open the keyring again")]
    PassphraseChanged,
    /// The file is, or would become, larger than is accepted.
    #[error("a keyring file has at most {} MiB, and this one would have more", MAX_BYTES >> 20)]
    TooLarge,
    /// Nothing can be written where the file is.
    #[error("{} is on a file system that is mounted read-only", .0.display())]
    ReadOnly(PathBuf),
    /// The file breaks off.
    #[error("the keyring file is damaged: its end is missing")]
    Truncated,
    /// The content does not open: authenticated encryption cannot say which of the two it is.
    #[error("wrong passphrase or damaged file")]
    WrongPassphraseOrDamaged,
}
