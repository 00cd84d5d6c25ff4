//! The keyring: an encrypted file of keys, wherever the user keeps it.
//!
//! Every change is written before the method returns. Under a lock, it is applied to the file's
//! present content and replaces the file in one step. So two programs do not lose each other's
//! changes, and a crash leaves either the old file or the new one.

pub(crate) mod content;
mod cost;
mod entry;
mod envelope;
mod error;
mod file;
pub(crate) mod merge;
mod passphrase;
mod record;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::cost::{KdfCost, KdfCostError};
pub use self::entry::{Entry, EntryKeyError, EntryName, EntryNameError};
pub use self::error::KeyringError;
pub use self::merge::{Differing, Kept, Merged, OnDifference};
pub use self::passphrase::{Passphrase, PassphraseError};
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::ports::{Random, random_bytes};

use self::content::{decode, encode};
use self::envelope::{Derivation, Envelope};
use self::file::WriteLock;

/// An open keyring file.
///
/// It holds the derived key, not the passphrase, so that changes need no second derivation.
pub struct Keyring {
    path: PathBuf,
    derivation: Derivation,
    key: SealingKey,
    entries: Vec<Entry>,
    random: Arc<dyn Random>,
}

impl Keyring {
    /// Makes an empty keyring at `path`, readable by its owner alone.
    ///
    /// # Errors
    /// When there is something at `path` already, or the file cannot be written.
    pub fn create(
        path: &Path,
        passphrase: &Passphrase,
        cost: KdfCost,
        random: Arc<dyn Random>,
    ) -> Result<Self, KeyringError> {
        let path = file::resolve_new(path)?;
        file::refuse_existing(&path)?;
        let derivation = Derivation { cost, salt: random_bytes(&*random) };
        let key = derivation.derive(passphrase)?;
        let keyring = Self { path, derivation, key, entries: Vec::new(), random };

        let lock = WriteLock::acquire(&keyring.path)?;
        // Checked again: another program may have been quicker.
        file::refuse_existing(&keyring.path)?;
        lock.replace(&keyring.sealed(&keyring.derivation, &keyring.key, &[])?)?;
        drop(lock);
        Ok(keyring)
    }

    /// Opens the keyring at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is not a keyring file or is damaged, or the passphrase is
    /// wrong. Memory for the derivation is spent only after the form of the file was found good.
    pub fn open(
        path: &Path,
        passphrase: &Passphrase,
        random: Arc<dyn Random>,
    ) -> Result<Self, KeyringError> {
        let path = file::resolve(path)?;
        let envelope = Envelope::parse(&file::read(&path)?)?;
        let key = envelope.derivation().derive(passphrase)?;
        let entries = decode(&envelope.open(&key)?)?;
        Ok(Self { path, derivation: envelope.derivation().clone(), key, entries, random })
    }

    /// Where the file is, with symbolic links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All entries, in the order of their addition.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name().as_str() == name)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When its name is taken, or the file cannot be read, opened or replaced.
    pub fn add(&mut self, entry: Entry) -> Result<(), KeyringError> {
        self.change(|entries| {
            refuse_taken(entries, entry.name())?;
            entries.push(entry);
            Ok(())
        })
    }

    /// Gives an entry another name.
    ///
    /// # Errors
    /// When there is no entry `from`, the name `to` is taken, or the file cannot be read, opened
    /// or replaced.
    pub fn rename(&mut self, from: &str, to: EntryName) -> Result<(), KeyringError> {
        self.change(|entries| {
            let position = position(entries, from)?;
            refuse_taken(entries, &to)?;
            entries[position].rename(to);
            Ok(())
        })
    }

    /// Changes one entry, as it is in the file at this moment.
    ///
    /// # Errors
    /// When there is no such entry, or the file cannot be read, opened or replaced.
    pub fn update(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Entry),
    ) -> Result<(), KeyringError> {
        self.change(|entries| {
            let position = position(entries, name)?;
            change(&mut entries[position]);
            Ok(())
        })
    }

    /// Removes an entry and its private key for good.
    ///
    /// # Errors
    /// When there is no such entry, or the file cannot be read, opened or replaced.
    pub fn remove(&mut self, name: &str) -> Result<(), KeyringError> {
        self.change(|entries| {
            entries.remove(position(entries, name)?);
            Ok(())
        })
    }

    /// Adds the entries of another keyring that this one lacks, as [`Merged`] says, without their
    /// tokens.
    ///
    /// # Errors
    /// When entries differ and are not to be replaced, or the file cannot be read, opened or replaced.
    /// Then nothing was changed.
    pub fn merge(
        &mut self,
        others: &[Entry],
        on_difference: OnDifference,
    ) -> Result<Merged, KeyringError> {
        let mut merged = Merged::default();
        self.change(|entries| {
            merged = merge::merge(entries, others, on_difference)?;
            Ok(())
        })?;
        Ok(merged)
    }

    /// Seals the keyring under another passphrase with a fresh salt and the given cost.
    ///
    /// Copies of the file from before still open with the old passphrase.
    ///
    /// # Errors
    /// When the file cannot be read, opened or replaced.
    pub fn change_passphrase(
        &mut self,
        passphrase: &Passphrase,
        cost: KdfCost,
    ) -> Result<(), KeyringError> {
        let derivation = Derivation { cost, salt: random_bytes(&*self.random) };
        // Derived before the lock is taken: nobody should wait for the lock that long.
        let key = derivation.derive(passphrase)?;

        let lock = WriteLock::acquire(&self.path)?;
        let entries = self.read_again()?;
        lock.replace(&self.sealed(&derivation, &key, &entries)?)?;
        drop(lock);
        (self.derivation, self.key, self.entries) = (derivation, key, entries);
        Ok(())
    }

    fn change(
        &mut self,
        change: impl FnOnce(&mut Vec<Entry>) -> Result<(), KeyringError>,
    ) -> Result<(), KeyringError> {
        let lock = WriteLock::acquire(&self.path)?;
        let mut entries = self.read_again()?;
        change(&mut entries)?;
        lock.replace(&self.sealed(&self.derivation, &self.key, &entries)?)?;
        drop(lock);
        self.entries = entries;
        Ok(())
    }

    fn read_again(&self) -> Result<Vec<Entry>, KeyringError> {
        let envelope = Envelope::parse(&file::read(&self.path)?)?;
        if *envelope.derivation() != self.derivation {
            return Err(KeyringError::PassphraseChanged);
        }
        decode(&envelope.open(&self.key)?)
    }

    fn sealed(
        &self,
        derivation: &Derivation,
        key: &SealingKey,
        entries: &[Entry],
    ) -> Result<Vec<u8>, KeyringError> {
        let content = encode(entries)?;
        let nonce = random_bytes(&*self.random);
        Ok(Envelope::seal(derivation.clone(), key, nonce, &content).to_text().into_bytes())
    }
}

fn position(entries: &[Entry], name: &str) -> Result<usize, KeyringError> {
    entries
        .iter()
        .position(|entry| entry.name().as_str() == name)
        .ok_or_else(|| KeyringError::NoSuchEntry(name.to_owned()))
}

fn refuse_taken(entries: &[Entry], name: &EntryName) -> Result<(), KeyringError> {
    if entries.iter().any(|entry| entry.name() == name) {
        return Err(KeyringError::NameTaken(name.clone()));
    }
    Ok(())
}
