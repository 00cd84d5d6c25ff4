//! Reads a secret from a file, the environment or the terminal. Never from the command line, which
//! every user of the machine can read.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use zeroize::Zeroizing;

use self::hidden_input::HiddenInput;
use super::connection::variable;
use crate::secret_file::{self, Keeper};

mod hidden_input;

/// No secret is longer, in bytes.
const MAX_BYTES: usize = 1024;

/// The kind of secret, and its environment variables.
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
    /// The option, else the environment, else the terminal. Two variables at once are refused: somebody
    /// who sets one would wonder why the other counts.
    pub(super) fn find(kind: &Kind, option: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = option {
            return Ok(Self::File(path.to_owned()));
        }
        match (variable(kind.variable)?, variable(kind.file_variable)?) {
            (Some(_), Some(_)) => {
                bail!("{} and {} are both set: unset one", kind.variable, kind.file_variable)
            }
            (Some(_), None) => Ok(Self::Variable),
            (None, Some(path)) => Ok(Self::File(path.into())),
            (None, None) => Ok(Self::Terminal),
        }
    }

    /// Where the secret comes from, for a sentence.
    pub(super) fn place(&self, kind: &Kind) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Terminal => "the terminal".to_owned(),
            Self::Variable => kind.variable.to_owned(),
        }
    }

    /// Whether asking again can give another answer.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal)
    }

    /// Reads it; `prompt` is for the person at the terminal.
    pub(super) fn read(&self, kind: &Kind, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
        match self {
            Self::File(path) => read_file(path, kind)
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
    let typed = HiddenInput::begin().and_then(|_hidden| rpassword::prompt_password(prompt));
    match typed {
        Ok(line) => Ok(line.into()),
        Err(error) if error.kind() == ErrorKind::Interrupted => bail!("interrupted"),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => bail!("no {name} was typed"),
        Err(error) => {
            let option = option.map_or_else(String::new, |option| format!(" (or give {option})"));
            bail!(
                "{}: there is no terminal to ask at ({error}): set {variable}, or set \
                 {file_variable}{option} to the path of a file that only you can read",
                prompt.trim_end_matches([':', ' '])
            )
        }
    }
}

/// The content of a file that nobody else can read, up to one line break at its end.
fn read_file(path: &Path, kind: &Kind) -> anyhow::Result<Zeroizing<String>> {
    if path == Path::new("-") {
        return read_line(io::stdin().lock());
    }
    let file = File::open(path)?;
    let otherwise = format!("set {} instead", kind.variable);
    secret_file::check(path, &file.metadata()?, Keeper::Person, &otherwise)?;
    read_line(file)
}

fn read_line(source: impl io::Read) -> anyhow::Result<Zeroizing<String>> {
    // As large as it can become: a buffer that grows leaves copies behind.
    let most = MAX_BYTES + "\r\n".len() + 1;
    let mut text = Zeroizing::new(String::with_capacity(most));
    match source.take(most as u64).read_to_string(&mut text) {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            bail!("it is not UTF-8 (PowerShell's > writes UTF-16)")
        }
        read => read?,
    };
    let line = text.strip_suffix('\n');
    let line = line.map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
    text.truncate(line);
    ensure!(
        !text.starts_with('\u{feff}'),
        "it begins with a byte order mark, which some editors write: save it as UTF-8 without BOM"
    );
    ensure!(
        !text.contains(['\n', '\r']),
        "it has more than one line, or empty lines at its end: one line is needed"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<String, String> {
        read_line(content).map(|line| line.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_one_line_whose_end_is_left_out() {
        for content in ["a secret", "a secret\n", "a secret\r\n"] {
            assert_eq!(read(content.as_bytes()).unwrap(), "a secret");
        }
    }

    #[test]
    fn what_editors_add_to_a_secret_is_named() {
        for (content, told) in [
            (&b"\xef\xbb\xbfa secret\n"[..], "byte order mark"),
            (b"a secret\n\n", "more than one line"),
            (b"a secret\r\n\r\n", "more than one line"),
            (b"a\nsecret", "more than one line"),
            (b"\xff\xfea\0", "UTF-16"),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
