//! Passwords: those of accounts that log in by one, and the one-time passwords of invitations.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use countersign_client::{Client, ClientError, Login, Password, Recovered, keyring::Keyring};

use super::{
    connection::{explain_login, named_if_off},
    dialects::switches::PASSWORDS,
    enrolment::{Accepted, Enrolled, Enrolment, Plan},
    key_file::KeyType,
    secret::{Kind, Source},
    text::argument,
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
            Err(error) => {
                let error = named_if_off(PASSWORDS, error);
                return Err(not_registered(enrolment, username, error));
            }
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
        Err(error) if error.leaves_open() => Err(not_recovered(error)),
        Err(error) => enrolment.conclude(client, username, Err(error)).await,
    }
}

/// Why there is no account with a password, and what helps: the server makes the password, and says it
/// once.
fn not_registered(enrolment: Enrolment<'_>, username: &str, error: ClientError) -> anyhow::Error {
    if error.leaves_open() {
        let (error, entry) = (explain_login(error), enrolment.entry());
        return anyhow!(
            "{error}\n  it is not known whether the account was made; if it was, its password is lost with \
             the answer. The keyring keeps a key for it, as {entry}: run the same command again, which tells"
        );
    }
    let code = match &error {
        ClientError::Refused(refusal) => refusal.code.as_deref(),
        _ => None,
    };
    let recover =
        format!("countersign recover {} --code CODE --dialect password", argument(username));
    let is_taken = code == Some("username-taken") || code == Some("enrolment-code");
    let advice = if enrolment.is_left_over() && is_taken {
        format!(
            "if an earlier try has made the account, and its answer was lost, nobody has its password: \
             choose another name, or let an administrator make a code, which gets another password: \
             {recover}"
        )
    } else if code == Some("username-taken") {
        format!(
            "choose another name; if it is yours, log in with its password (countersign login {} \
             --dialect password), or let an administrator make a code for another one: {recover}",
            argument(username)
        )
    } else {
        return enrolment.abandon(explain_login(error));
    };
    enrolment.abandon(anyhow!("{error}\n  {advice}"))
}

/// The error of a recovery whose answer, with the new password, was lost.
fn not_recovered(error: ClientError) -> anyhow::Error {
    let error = explain_login(error);
    anyhow!(
        "{error}\n  it is not known whether the code was used; if it was, the new password is lost with the \
         answer, and the old one is good for nothing. Run the same command again: if the code is refused \
         then, an administrator makes another"
    )
}

/// Gets a new password, with a code of an administrator, for an entry that the keyring keeps.
pub(super) async fn recovered(
    client: &Client,
    username: &str,
    code: &str,
) -> anyhow::Result<(Recovered, Password)> {
    client.recover_password(username, code).await.map_err(|error| {
        if error.leaves_open() { not_recovered(error) } else { explain_login(error) }
    })
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
    let login = login.map_err(|error| explain_login(named_if_off(PASSWORDS, error)))?;
    let who = login.whoami().await.map_err(explain_login)?;
    Ok((login, who.account_id))
}
