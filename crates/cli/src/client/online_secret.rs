//! What opens an online keyring: its password or its recovery code.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use countersign_client::{
    Unlock,
    keyring::Passphrase,
    online_keyring::{RecoveryCode, check_new_password},
};

use super::secret::{Kind, Source};
use crate::output;

const PASSWORD: Kind = Kind {
    name: "password of the online keyring",
    option: Some("--password-file"),
    variable: "COUNTERSIGN_ONLINE_PASSWORD",
    file_variable: "COUNTERSIGN_ONLINE_PASSWORD_FILE",
};

const RECOVERY_CODE: Kind = Kind {
    name: "recovery code of the online keyring",
    option: Some("--recovery-code-file"),
    variable: "COUNTERSIGN_RECOVERY_CODE",
    file_variable: "COUNTERSIGN_RECOVERY_CODE_FILE",
};

#[derive(Args)]
pub(super) struct PasswordOptions {
    #[arg(
        long,
        value_name = "FILE",
        help = "A file that holds the password of the online keyring, - for standard input [env: \
                COUNTERSIGN_ONLINE_PASSWORD_FILE, or COUNTERSIGN_ONLINE_PASSWORD for the password \
                itself] [default: ask]"
    )]
    password_file: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct UnlockOptions {
    #[command(flatten)]
    password: PasswordOptions,

    /// Open it with its recovery code in place of its password
    #[arg(long, conflicts_with = "password_file")]
    recovery: bool,

    #[arg(
        long,
        value_name = "FILE",
        requires = "recovery",
        help = "A file that holds the recovery code [env: COUNTERSIGN_RECOVERY_CODE_FILE, or \
                COUNTERSIGN_RECOVERY_CODE for the code itself] [default: ask]"
    )]
    recovery_code_file: Option<PathBuf>,
}

/// A password or a recovery code.
pub(super) enum Secret {
    Password(Passphrase),
    RecoveryCode(RecoveryCode),
}

impl Secret {
    pub(super) const fn unlock(&self) -> Unlock<'_> {
        match self {
            Self::Password(password) => Unlock::Password(password),
            Self::RecoveryCode(code) => Unlock::RecoveryCode(code),
        }
    }
}

impl PasswordOptions {
    /// The password of the online keyring of `whose`, such as "alice at auth.example.com".
    pub(super) fn get(&self, whose: &str) -> anyhow::Result<Passphrase> {
        let text = self
            .source()?
            .read(&PASSWORD, &format!("Password of the online keyring of {whose}: "))?;
        parse(text.to_string())
    }

    /// A password for the online keyring that `whose` does not have yet.
    pub(super) fn choose(&self, whose: &str) -> anyhow::Result<Passphrase> {
        choose(&self.source()?, whose)
    }

    /// Whether asking again can give another answer.
    pub(super) fn asks(&self) -> anyhow::Result<bool> {
        Ok(self.source()?.is_terminal())
    }

    fn source(&self) -> anyhow::Result<Source> {
        Source::find(&PASSWORD, self.password_file.as_deref())
    }
}

impl UnlockOptions {
    /// The password, or the recovery code if that is wanted.
    pub(super) fn get(&self, whose: &str) -> anyhow::Result<Secret> {
        if !self.recovery {
            return self.password.get(whose).map(Secret::Password);
        }
        let source = self.code_source()?;
        let text = source
            .read(&RECOVERY_CODE, &format!("Recovery code of the online keyring of {whose}: "))?;
        Ok(Secret::RecoveryCode(RecoveryCode::parse(&text)?))
    }

    /// Whether asking again can give another answer.
    pub(super) fn asks(&self) -> anyhow::Result<bool> {
        if self.recovery { Ok(self.code_source()?.is_terminal()) } else { self.password.asks() }
    }

    fn code_source(&self) -> anyhow::Result<Source> {
        Source::find(&RECOVERY_CODE, self.recovery_code_file.as_deref())
    }
}

/// A new password from `file`, or else from the person at the terminal: what the environment says is
/// the present one.
pub(super) fn choose_another(file: Option<&PathBuf>, whose: &str) -> anyhow::Result<Passphrase> {
    let source = file.map_or(Source::Terminal, |file| Source::File(file.clone()));
    let chosen = choose(&source, whose);
    if source.is_terminal() && !io::stdin().is_terminal() {
        return chosen.map_err(|_| {
            anyhow!("without a terminal, --new-password-file FILE says the new password")
        });
    }
    chosen
}

/// A new password; at a terminal it is typed twice.
fn choose(source: &Source, whose: &str) -> anyhow::Result<Passphrase> {
    loop {
        let first =
            source.read(&PASSWORD, &format!("New password for the online keyring of {whose}: "))?;
        if source.is_terminal() && first != source.read(&PASSWORD, "The same again: ")? {
            output::remark("These were not the same.");
            continue;
        }
        let password = parse(first.to_string())?;
        match check_new_password(&password) {
            Err(short) if source.is_terminal() => output::remark(format!("{short}.")),
            checked => return Ok(checked.map(|()| password)?),
        }
    }
}

fn parse(text: String) -> anyhow::Result<Passphrase> {
    Passphrase::new(text).context("the online keyring's password")
}
