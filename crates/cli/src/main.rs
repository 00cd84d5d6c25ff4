//! `countersign`: the one binary. It wires the parts together; every decision lies in a library.

mod admin;
mod administrator;
mod client;
mod config;
mod data_dir;
mod database;
mod demo;
mod first_start;
mod hardening;
mod healthcheck;
mod issuer;
mod logging;
mod lost_passkeys;
mod master_key;
mod moving_mark;
mod node;
mod notify;
mod output;
mod ownership;
mod secret_file;
mod serve;
mod shared_database;
mod startup;
mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Log in with keys you own. Every token is bound to a key, and a stolen one is useless.
#[derive(Parser)]
#[command(name = "countersign", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Start with `countersign demo`, or `countersign serve` and `countersign register NAME`."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Options),
    /// Watch the whole story in one terminal, thief included
    Demo(demo::Options),
    #[command(flatten)]
    Client(client::Command),
    /// See whether the server of this configuration is ready
    Healthcheck(healthcheck::Options),
    /// Administer a server: accounts, keys, invitations, audit, backup
    Admin(admin::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&anyhow::Error::new(error)),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(options) => serve::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Demo(options) => demo::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Client(command) => client::run(command).await,
            Command::Healthcheck(options) => {
                healthcheck::run(&options).await.map(|()| ExitCode::SUCCESS)
            }
            Command::Admin(options) => admin::run(options).await.map(|()| ExitCode::SUCCESS),
        }
    });
    result.unwrap_or_else(|error| output::failure(&error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
