//! Where a secret comes from that a person knows: a file, the environment, or the terminal. Never the
//! command line, which every user of the machine can read.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use super::connection::variable;

/// More than any secret has, in bytes.
const MAX_BYTES: usize = 1024;

/// What kind of secret, and how the environment calls it.
pub(super) struct Kind {
    /// Such as "passphrase".
    pub(super) name: &'static str,
    /// The option that names a file that holds it, if there is one.
    pub(super) option: Option<&'static str>,
    /// The variable that holds it.
    pub(super) variable: &'static str,
    /// The variable that holds the path of a file that holds it.
    pub(super) file_variable: &'static str,
}

/// How to get a secret.
pub(super) enum Source {
    /// It is in this file; `-` stands for standard input.
    File(PathBuf),
    /// Somebody types it.
    Terminal,
    /// It is in the environment.
    Variable,
}

impl Source {
    /// The option, else the environment, else the terminal.
    pub(super) fn find(kind: &Kind, option: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = option {
            return Ok(Self::File(path.to_owned()));
        }
        if variable(kind.variable)?.is_some() {
            return Ok(Self::Variable);
        }
        Ok(variable(kind.file_variable)?.map_or(Self::Terminal, |path| Self::File(path.into())))
    }

    /// Whether asking again can give another answer.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal)
    }

    /// Reads it; `prompt` is for the person at the terminal.
    pub(super) fn read(&self, kind: &Kind, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
        match self {
            Self::File(path) => read_file(path)
                .with_context(|| format!("cannot read the {} from {}", kind.name, path.display())),
            Self::Terminal => ask(kind, prompt),
            Self::Variable => {
                let text = variable(kind.variable)?;
                Ok(text.with_context(|| format!("{} is not set", kind.variable))?.into())
            }
        }
    }
}

/// Reads a line from the terminal, unseen. Standard input may be something else.
fn ask(kind: &Kind, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let Kind { name, option, variable, file_variable } = kind;
    match rpassword::prompt_password(prompt) {
        Ok(line) => Ok(line.into()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => bail!("interrupted"),
        Err(error) => {
            let option = option.map_or_else(String::new, |option| format!(" (or give {option})"));
            bail!(
                "there is no terminal to ask for the {name} at ({error}): set {variable}, or set \
                 {file_variable}{option} to the path of a file that only you can read",
            )
        }
    }
}

/// The content of a file that nobody else can read, up to one line break at its end.
fn read_file(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    if path == Path::new("-") {
        return read_line(io::stdin().lock());
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // A pipe, as of `<(pass show keyring)`, has no readers but us.
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        bail!("{} can be read by others: chmod 600 {0}", path.display());
    }
    read_line(file)
}

fn read_line(source: impl io::Read) -> anyhow::Result<Zeroizing<String>> {
    // As large as it can become: a buffer that grows leaves copies behind.
    let most = MAX_BYTES + "\r\n".len() + 1;
    let mut text = Zeroizing::new(String::with_capacity(most));
    source.take(most as u64).read_to_string(&mut text)?;
    let line = text.strip_suffix('\n');
    let line = line.map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
    text.truncate(line);
    Ok(text)
}
