//! The passphrase of the keyring.

use std::path::Path;

use anyhow::{Context as _, ensure};
use countersign_client::keyring::Passphrase;
use zeroize::Zeroizing;

use super::secret::{Kind, Source};
use crate::output;

/// The shortest passphrase that a keyring is given, in bytes of UTF-8: the account app cannot open one with a
/// shorter one.
const MIN_BYTES: usize = 8;

pub(super) const PASSPHRASE: Kind = Kind {
    name: "passphrase",
    option: Some("--passphrase-file"),
    variable: "COUNTERSIGN_PASSPHRASE",
    file_variable: "COUNTERSIGN_PASSPHRASE_FILE",
};

/// The passphrase of a keyring that exists.
pub(super) fn get(source: &Source, keyring: &Path) -> anyhow::Result<Passphrase> {
    let text = source.read(&PASSPHRASE, &format!("Passphrase of {}: ", keyring.display()))?;
    parse(source, text)
}

/// A passphrase for a keyring that is to be made or sealed anew; it is typed twice.
pub(super) fn choose(source: &Source, keyring: &Path) -> anyhow::Result<Passphrase> {
    let prompt = format!("New passphrase for {}: ", keyring.display());
    let too_short = format!("a new passphrase has at least {MIN_BYTES} bytes");
    if !source.is_terminal() {
        let text = source.read(&PASSPHRASE, &prompt)?;
        ensure!(
            text.is_empty() || text.len() >= MIN_BYTES,
            "{}: {too_short}",
            source.place(&PASSPHRASE)
        );
        return parse(source, text);
    }
    loop {
        let first = source.read(&PASSPHRASE, &prompt)?;
        if first.len() < MIN_BYTES {
            output::remark(format!("That was too short: {too_short}."));
            continue;
        }
        let again = source.read(&PASSPHRASE, "The same again: ")?;
        if first == again {
            return parse(source, first);
        }
        output::remark("These were not the same.");
    }
}

fn parse(source: &Source, mut text: Zeroizing<String>) -> anyhow::Result<Passphrase> {
    let passphrase = Passphrase::new(std::mem::take(&mut *text));
    match source {
        Source::File(path) => {
            passphrase.with_context(|| format!("the passphrase in {} is none", path.display()))
        }
        Source::Terminal => Ok(passphrase?),
        Source::Variable => passphrase.context(PASSPHRASE.variable),
    }
}
