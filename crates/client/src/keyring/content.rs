//! The content of a keyring, as it is encrypted: a JSON list of entries.

use std::collections::BTreeSet;
use std::io;

use zeroize::Zeroizing;

use super::entry::Entry;
use super::error::KeyringError;
use super::record::Record;

/// Reads the entries.
///
/// The records go straight from the wiped buffer into wiped fields: a general JSON value would
/// leave copies of the private keys in freed memory.
pub(crate) fn decode(content: &[u8]) -> Result<Vec<Entry>, KeyringError> {
    // The cause may quote a value, and the values here are secrets: only its place is told.
    let records: Vec<Record> = serde_json::from_slice(content).map_err(|cause| {
        KeyringError::Content(format!("not a list of entries, at byte {}", cause.column()))
    })?;
    let entries: Vec<Entry> = records
        .into_iter()
        .map(Entry::from_record)
        .collect::<Result<_, _>>()
        .map_err(|cause| KeyringError::Content(cause.to_string()))?;
    let names: BTreeSet<_> = entries.iter().map(Entry::name).collect();
    if names.len() != entries.len() {
        return Err(KeyringError::Content("two entries have one name".to_owned()));
    }
    Ok(entries)
}

/// The text of the entries, to be encrypted.
pub(crate) fn encode(entries: &[Entry]) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let records: Vec<&Record> = entries.iter().map(Entry::record).collect();
    // Measured first: a buffer that grows leaves copies of its content behind.
    let mut size = Counter(0);
    let failure = |cause: serde_json::Error| KeyringError::Content(cause.to_string());
    serde_json::to_writer(&mut size, &records).map_err(failure)?;
    let mut content = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *content, &records).map_err(failure)?;
    Ok(content)
}

/// Counts the bytes that are written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
