//! Passwords: those of accounts that log in by one, and the one-time passwords of invitations.

use std::path::PathBuf;

use clap::Args;
use countersign_client::{Client, Login, Password, keyring::Keyring};

use super::{
    connection::explain_login,
    enrolment::{Accepted, Enrolled, Enrolment, Plan},
    key_file::KeyType,
    secret::{Kind, Source},
};

const PASSWORD: Kind = Kind {
    name: "password",
    option: Some("--password-file"),
    variable: "COUNTERSIGN_PASSWORD",
    file_variable: "COUNTERSIGN_PASSWORD_FILE",
};

#[derive(Args)]
pub(super) struct PasswordOptions {
    #[arg(
        long,
        value_name = "FILE",
        requires = "dialect",
        help = "A file that holds the password, - for standard input [env: \
                COUNTERSIGN_PASSWORD_FILE, or COUNTERSIGN_PASSWORD for the password itself] \
                [default: ask]"
    )]
    password_file: Option<PathBuf>,
}

impl PasswordOptions {
    /// Whether the command line says where the password is.
    pub(super) const fn is_given(&self) -> bool {
        self.password_file.is_some()
    }

    /// The password. `what` describes it at the terminal, such as "Password of alice".
    pub(super) fn get(&self, what: &str) -> anyhow::Result<Password> {
        let source = Source::find(&PASSWORD, self.password_file.as_deref())?;
        Ok(Password::new(source.read(&PASSWORD, &format!("{what}: "))?)?)
    }
}

/// Makes an account whose password the server makes. The password is put into the keyring before
/// anything else is done with it.
pub(super) async fn register(
    client: &Client,
    mut enrolment: Enrolment<'_>,
    username: &str,
    email: &str,
    enrolment_code: Option<&str>,
) -> anyhow::Result<Enrolled> {
    let password = match enrolment.password() {
        Some(left_over) => left_over,
        None => match client.register_with_password(username, email, enrolment_code).await {
            Ok(password) => {
                enrolment.keep_password(&password)?;
                password
            }
            Err(error) => return enrolment.conclude(client, username, Err(error)).await,
        },
    };
    finish(client, enrolment, username, &password).await
}

/// Gets a new password for an account whose password was forgotten, with a code of an administrator.
pub(super) async fn recover(
    client: &Client,
    mut enrolment: Enrolment<'_>,
    username: &str,
    code: &str,
) -> anyhow::Result<Enrolled> {
    if let Some(left_over) = enrolment.password()
        && let Ok((_, account_id)) = log_in(client, &enrolment, username, &left_over).await
    {
        return enrolment.conclude(client, username, Ok(Accepted::account(account_id))).await;
    }
    match client.recover_password(username, code).await {
        Ok((_, password)) => {
            enrolment.keep_password(&password)?;
            finish(client, enrolment, username, &password).await
        }
        Err(error) => enrolment.conclude(client, username, Err(error)).await,
    }
}

/// Logs in with the password that the entry has now, and marks the entry as one of the account.
async fn finish(
    client: &Client,
    enrolment: Enrolment<'_>,
    username: &str,
    password: &Password,
) -> anyhow::Result<Enrolled> {
    match log_in(client, &enrolment, username, password).await {
        Ok((_, account_id)) => {
            let accepted = Accepted::account(account_id);
            enrolment.conclude(client, username, Ok(accepted)).await
        }
        Err(error) => Err(error.context(format!(
            "{username} has the password, and the entry {} of the keyring keeps it, but it does not \
             log in yet: run the same command again",
            enrolment.entry()
        ))),
    }
}

/// Logs in to an account that the keyring has no entry for, and makes one: with a key of its own,
/// which the token is bound to, and the password.
pub(super) async fn log_in_anew(
    client: &Client,
    keyring: &mut Keyring,
    username: &str,
    password: Password,
) -> anyhow::Result<Login> {
    let server = client.metadata().issuer();
    let plan = Plan { server, username, entry: Some(username), default_entry: username };
    let enrolment = Enrolment::begin(keyring, &plan, None, KeyType::DEFAULT)?;
    match log_in(client, &enrolment, username, &password).await {
        Ok((login, account_id)) => {
            let accepted = Accepted { password: Some(password), ..Accepted::account(account_id) };
            let enrolled = enrolment.conclude(client, username, Ok(accepted)).await?;
            let token = login.save();
            keyring.update(enrolled.entry.as_str(), |entry| entry.set_token(&token))?;
            Ok(login)
        }
        Err(error) => Err(enrolment.abandon(error)),
    }
}

/// A login with a token that is bound to the key of the entry, and the id of the account.
async fn log_in(
    client: &Client,
    enrolment: &Enrolment<'_>,
    username: &str,
    password: &Password,
) -> anyhow::Result<(Login, String)> {
    let login = client.login_with_password(enrolment.key(), username, password).await;
    let login = login.map_err(explain_login)?;
    let who = login.whoami().await.map_err(explain_login)?;
    Ok((login, who.account_id))
}
