//! The passphrase of the keyring.

use std::path::Path;

use anyhow::Context as _;
use countersign_client::keyring::Passphrase;
use zeroize::Zeroizing;

use super::secret::{Kind, Source};
use crate::output;

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
    if !source.is_terminal() {
        return get(source, keyring);
    }
    loop {
        let first =
            source.read(&PASSPHRASE, &format!("New passphrase for {}: ", keyring.display()))?;
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
