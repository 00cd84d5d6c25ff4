//! The commands of people and programs that log in.

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say who one is, by the server's account
    Whoami,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Whoami => anyhow::bail!("being written"),
    }
}
