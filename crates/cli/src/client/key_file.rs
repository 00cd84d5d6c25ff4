//! Private keys from files, and new ones.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::ValueEnum;
use countersign_client::{KeyFileError, read_private_key};
use countersign_protocol::keys::{KeyError, NewKey, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::secret::{Kind, Source};
use crate::secret_file::{self, Keeper};

/// More than any key takes.
const MAX_BYTES: usize = 64 * 1024;

const KEY_PASSPHRASE: Kind = Kind {
    name: "passphrase of the key file",
    option: None,
    variable: "COUNTERSIGN_KEY_PASSPHRASE",
    file_variable: "COUNTERSIGN_KEY_PASSPHRASE_FILE",
};

/// What kind of key to make.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum KeyType {
    Ed25519,
    P256,
    P384,
    Rsa2048,
    Rsa3072,
    Rsa4096,
}

impl KeyType {
    /// Every JOSE library and every resource server knows P-256; not all know Ed25519 yet.
    pub(super) const DEFAULT: Self = Self::P256;

    /// Makes a key.
    pub(super) fn generate(self) -> anyhow::Result<PrivateKey> {
        let kind = match self {
            Self::Ed25519 => NewKey::Ed25519,
            Self::P256 => NewKey::EcP256,
            Self::P384 => NewKey::EcP384,
            Self::Rsa2048 => NewKey::Rsa2048,
            Self::Rsa3072 => NewKey::Rsa3072,
            Self::Rsa4096 => NewKey::Rsa4096,
        };
        Ok(PrivateKey::generate(kind)?)
    }
}

/// Reads a private key: PEM, DER, JWK or the format of OpenSSH; `-` stands for standard input. It asks
/// for the passphrase of an encrypted key.
pub(super) fn read(path: &Path) -> anyhow::Result<PrivateKey> {
    load(path)?.into_key()
}

/// The content of a file that should have a private key in it. It is wiped when dropped.
pub(super) struct Loaded {
    content: Zeroizing<Vec<u8>>,
    name: String,
    /// None for standard input.
    file: Option<(PathBuf, Metadata)>,
}

/// Reads the file at `path`; `-` stands for standard input.
pub(super) fn load(path: &Path) -> anyhow::Result<Loaded> {
    if path == Path::new("-") {
        let content = read_some(io::stdin().lock()).context("cannot read standard input")?;
        return Ok(Loaded { content, name: "standard input".to_owned(), file: None });
    }
    let name = path.display().to_string();
    let describe = || format!("cannot read {name}");
    let file = File::open(path).with_context(describe)?;
    let metadata = file.metadata().with_context(describe)?;
    let content = read_some(file).with_context(describe)?;
    Ok(Loaded { content, name, file: Some((path.to_owned(), metadata)) })
}

impl Loaded {
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// What to call the file in a message.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The key in it.
    pub(super) fn into_key(self) -> anyhow::Result<PrivateKey> {
        let (key, is_encrypted) = parse(&self.content, &self.name)?;
        if !is_encrypted {
            self.refuse_readable_by_others()?;
        }
        Ok(key)
    }

    /// Refuses a file with an unencrypted key that others can read.
    pub(super) fn refuse_readable_by_others(&self) -> anyhow::Result<()> {
        let Some((path, metadata)) = &self.file else { return Ok(()) };
        let otherwise = "give - and the key on standard input";
        secret_file::check(path, metadata, Keeper::Person, otherwise)
    }
}

/// Thumbprint and kind.
pub(super) fn describe(key: &PublicKey) -> String {
    format!("{} ({})", key.thumbprint(), kind(key))
}

/// Key type, with the size where it varies.
pub(super) fn kind(key: &PublicKey) -> String {
    let name = key.key_type().name();
    key.rsa_bits().map_or_else(|| name.to_owned(), |bits| format!("{name} {bits}"))
}

/// The key, and whether the file was encrypted.
fn parse(content: &[u8], name: &str) -> anyhow::Result<(PrivateKey, bool)> {
    let describe = || format!("{name} is no key to log in with");
    match read_private_key(content, None) {
        Err(KeyFileError(KeyError::PassphraseNeeded)) => {
            let source = Source::find(&KEY_PASSPHRASE, None)?;
            let passphrase = source.read(&KEY_PASSPHRASE, &format!("Passphrase of {name}: "))?;
            let key = read_private_key(content, Some(&passphrase)).with_context(describe)?;
            Ok((key, true))
        }
        key => Ok((key.with_context(describe)?, false)),
    }
}

fn read_some(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Allocated at the largest possible size: a buffer that grows leaves copies of the key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    source.take(MAX_BYTES as u64 + 1).read_to_end(&mut content)?;
    if content.len() > MAX_BYTES {
        return Err(io::Error::other("it is too long for a key"));
    }
    Ok(content)
}
