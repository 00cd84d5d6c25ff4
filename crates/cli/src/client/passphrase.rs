//! Where the passphrase of the keyring comes from.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use countersign_client::keyring::Passphrase;
use zeroize::Zeroizing;

use super::connection::variable;
use crate::output;

const VARIABLE: &str = "COUNTERSIGN_PASSPHRASE";
const FILE_VARIABLE: &str = "COUNTERSIGN_PASSPHRASE_FILE";

/// How to get a passphrase.
pub(super) enum Source {
    /// It is in this file.
    File(PathBuf),
    /// Somebody types it.
    Terminal,
    /// It is in the environment.
    Variable,
}

impl Source {
    /// The option, else the environment, else the terminal.
    pub(super) fn find(option: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = option {
            return Ok(Self::File(path.to_owned()));
        }
        if variable(VARIABLE)?.is_some() {
            return Ok(Self::Variable);
        }
        Ok(variable(FILE_VARIABLE)?.map_or(Self::Terminal, |path| Self::File(path.into())))
    }

    /// Whether asking again can give another answer.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal)
    }

    /// The passphrase of a keyring that exists.
    pub(super) fn get(&self, keyring: &Path) -> anyhow::Result<Passphrase> {
        match self {
            Self::File(path) => read_file(path),
            Self::Terminal => {
                let line = ask(&format!("Passphrase of {}: ", keyring.display()))?;
                Ok(Passphrase::new(line)?)
            }
            Self::Variable => {
                let text = variable(VARIABLE)?.with_context(|| format!("{VARIABLE} is not set"))?;
                Passphrase::new(text).context(VARIABLE)
            }
        }
    }

    /// A passphrase for a keyring that is to be made or sealed anew; it is typed twice.
    pub(super) fn choose(&self, keyring: &Path) -> anyhow::Result<Passphrase> {
        if !self.is_terminal() {
            return self.get(keyring);
        }
        loop {
            let first = ask(&format!("New passphrase for {}: ", keyring.display()))?;
            let again = Zeroizing::new(ask("The same again: ")?);
            if first == *again {
                return Ok(Passphrase::new(first)?);
            }
            drop(Zeroizing::new(first));
            output::remark("These were not the same.");
        }
    }
}

/// Reads a line from the terminal, unseen. Standard input may be something else.
fn ask(prompt: &str) -> anyhow::Result<String> {
    match rpassword::prompt_password(prompt) {
        Ok(line) => Ok(line),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => bail!("interrupted"),
        Err(error) => bail!(
            "there is no terminal to ask for the passphrase at ({error}): set {VARIABLE}, or set \
             {FILE_VARIABLE} to the path of a file that only you can read"
        ),
    }
}

/// The content of a file that nobody else can read, up to one line break at its end.
fn read_file(path: &Path) -> anyhow::Result<Passphrase> {
    let describe = || format!("cannot read the passphrase from {}", path.display());
    let file = File::open(path).with_context(describe)?;
    let metadata = file.metadata().with_context(describe)?;
    // A pipe, as of `<(pass show keyring)`, has no readers but us.
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        bail!("{} can be read by others: chmod 600 {0}", path.display());
    }
    let most = Passphrase::MAX_BYTES + "\r\n".len() + 1;
    let mut text = Zeroizing::new(String::with_capacity(most));
    file.take(most as u64).read_to_string(&mut text).with_context(describe)?;
    let line =
        text.strip_suffix('\n').map_or(&**text, |line| line.strip_suffix('\r').unwrap_or(line));
    Passphrase::new(line.to_owned()).with_context(describe)
}
