//! The commands of people and programs that log in.

mod actor;
mod call;
mod connection;
mod dialects;
mod enrolment;
mod entry_choice;
mod key_file;
mod key_options;
mod keyring;
mod keyring_file;
mod keys;
mod login;
mod login_object;
mod online_secret;
mod passphrase;
mod password;
mod recover;
mod register;
mod secret;
pub(crate) mod terminal;
mod text;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key and register it under a name
    Register(Box<register::Options>),
    /// Get back into an account, with a code of an administrator
    Recover(Box<recover::Options>),
    /// Get an access token and keep it in the keyring
    Login(Box<login::LoginOptions>),
    /// End the access token, at the server and in the keyring
    Logout(Box<login::LogoutOptions>),
    /// Show who you are logged in as
    Whoami(Box<login::WhoamiOptions>),
    /// Send a signed request, much as curl would
    Call(Box<call::Options>),
    /// List, add and revoke the keys of your account
    Keys(keys::Options),
    /// Look after the encrypted file that holds your keys
    Keyring(keyring::Options),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Register(options) => register::run(&options).await?,
        Command::Recover(options) => recover::run(&options).await?,
        Command::Login(options) => login::login(&options).await?,
        Command::Logout(options) => login::logout(&options).await?,
        Command::Whoami(options) => login::whoami(&options).await?,
        Command::Call(options) => return call::run(&options).await,
        Command::Keys(options) => keys::run(&options).await?,
        Command::Keyring(options) => keyring::run(&options).await?,
    }
    Ok(ExitCode::SUCCESS)
}
