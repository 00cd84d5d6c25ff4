//! The keyring file: where it lies, and opening it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::Args;
use countersign_client::keyring::{KdfCost, Keyring, KeyringError};
use countersign_system::SystemRandom;

use super::{
    connection::variable,
    passphrase::{self, PASSPHRASE},
    secret::Source,
};
use crate::output;

const VARIABLE: &str = "COUNTERSIGN_KEYRING";

/// How often a person may mistype the passphrase.
const ATTEMPTS: usize = 3;

#[derive(Args)]
#[command(next_help_heading = "Keyring")]
pub(super) struct KeyringOptions {
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help = "The keyring file [env: COUNTERSIGN_KEYRING] \
                [default: ~/.local/share/countersign/keyring.json]"
    )]
    keyring: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help = "A file that holds the passphrase [env: COUNTERSIGN_PASSPHRASE_FILE, or \
                COUNTERSIGN_PASSPHRASE for the passphrase itself] [default: ask]"
    )]
    passphrase_file: Option<PathBuf>,
}

impl KeyringOptions {
    /// Where the file is, or would be.
    pub(super) fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.keyring {
            return Ok(path.clone());
        }
        if let Some(path) = variable(VARIABLE)? {
            return Ok(path.into());
        }
        let data = match (variable("XDG_DATA_HOME")?, variable("HOME")?) {
            // A relative path there counts as missing, says the XDG specification.
            (Some(data), _) if Path::new(&data).is_absolute() => PathBuf::from(data),
            (_, Some(home)) => Path::new(&home).join(".local/share"),
            (_, None) => bail!("HOME is not set: say where the keyring is, with --keyring FILE"),
        };
        Ok(data.join("countersign").join("keyring.json"))
    }

    /// Whether there is something at the path.
    pub(super) fn exists(&self) -> anyhow::Result<bool> {
        Ok(!is_missing(&self.path()?))
    }

    /// Opens the keyring, which must exist.
    pub(super) fn open(&self) -> anyhow::Result<Keyring> {
        let path = self.path()?;
        if is_missing(&path) {
            bail!(
                "there is no keyring at {}; `countersign register NAME` makes one",
                path.display()
            );
        }
        self.open_existing(&path)
    }

    /// Opens the keyring, or makes an empty one.
    pub(super) fn open_or_create(&self) -> anyhow::Result<Keyring> {
        let path = self.path()?;
        if !is_missing(&path) {
            return self.open_existing(&path);
        }
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let passphrase = passphrase::choose(&self.source()?, &path)?;
        let made = Keyring::create(&path, &passphrase, KdfCost::DEFAULT, Arc::new(SystemRandom))?;
        output::remark(format!(
            "made the keyring {}: without its passphrase nobody can open it, nor can you",
            path.display()
        ));
        Ok(made)
    }

    fn open_existing(&self, path: &Path) -> anyhow::Result<Keyring> {
        let source = self.source()?;
        let attempts = if source.is_terminal() { ATTEMPTS } else { 1 };
        for _ in 1..attempts {
            match try_open(path, &source)? {
                Err(KeyringError::WrongPassphraseOrDamaged) => {
                    output::remark("That does not open it. Once more:");
                }
                opened => return explained(path, opened),
            }
        }
        let opened = try_open(path, &source)?;
        if matches!(&opened, Err(KeyringError::WrongPassphraseOrDamaged)) {
            let place = source.place(&PASSPHRASE);
            return opened.with_context(|| {
                format!(
                    "cannot open the keyring {} with the passphrase from {place}",
                    path.display()
                )
            });
        }
        explained(path, opened)
    }

    fn source(&self) -> anyhow::Result<Source> {
        Source::find(&PASSPHRASE, self.passphrase_file.as_deref())
    }
}

fn try_open(path: &Path, source: &Source) -> anyhow::Result<Result<Keyring, KeyringError>> {
    let passphrase = passphrase::get(source, path)?;
    Ok(Keyring::open(path, &passphrase, Arc::new(SystemRandom)))
}

fn explained(path: &Path, opened: Result<Keyring, KeyringError>) -> anyhow::Result<Keyring> {
    opened.with_context(|| format!("cannot open the keyring {}", path.display()))
}

/// A broken link does not count as missing: something was there, and it must not be replaced.
fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}
