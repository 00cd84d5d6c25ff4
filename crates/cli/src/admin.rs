//! The commands of administrators. They open the database directly, whether or not a server runs.

mod accounts;
mod arguments;
mod audit;
mod backup;
mod check;
mod claim;
mod class_list;
mod database;
mod init;
mod invitations;
mod invite;
mod issuer;
mod keys;
mod migrate;
mod moving;
mod rekey;
mod restore;
mod signing_keys;
mod table;
mod web_hash;
mod words;

use clap::{Args, Subcommand};

use crate::config::{self, Location};

/// The commands of administrators.
#[derive(Args)]
#[command(
    after_help = "These commands work on the database itself: they need its files or its URL, and no server. \
                  A running server takes over what they change within a quarter of a second."
)]
pub(crate) struct Options {
    #[command(flatten, next_display_order = 100)]
    location: Location,

    /// Who does this, for the audit trail [default: `SUDO_USER`, or whoever has logged in]. The user id
    /// of the process is written down in any case
    #[arg(long = "as", value_name = "NAME", global = true)]
    actor: Option<String>,

    /// Why, for the audit trail; the owner of an account reads it too
    #[arg(long, value_name = "TEXT", global = true)]
    reason: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List accounts, shut them out or let them in, change their scopes
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Read the audit trail
    ///
    /// Shows the newest events, the newest last. Every condition that is given must hold.
    Audit(audit::Options),
    /// Copy the database, consistently, while a server uses it
    ///
    /// The copy is verified. It holds everything but the master key: keep that too, in another
    /// place. No private key or code is in it in the clear, but it says who has an account and when
    /// they logged in.
    Backup(backup::Options),
    /// See whether database, master key and signing keys are sound
    ///
    /// Of a database that servers share it says too how its server and the standbys are, and which of ours
    /// run on it, with their clocks.
    Check,
    /// Make a PostgreSQL database ready for servers, once
    ///
    /// Makes tables, a master key unless one is given, and the first signing keys, and keeps the issuer if it
    /// is set. Servers make nothing of this themselves. In a database that is ready it changes nothing.
    Init(init::Options),
    /// Manage invitations
    #[command(subcommand)]
    Invitations(invitations::Command),
    /// Make a one-time code with which somebody can register, or get back into an account
    ///
    /// The code goes to standard output and is kept nowhere. Whoever has it can register once. With
    /// --names-from there is a code for each name of a list, as CSV for a mail merge.
    ///
    /// With --recover the code gives an account that exists a new key or, where it has a password, a
    /// new password: for whoever has lost the only key, or forgotten the password. Whoever has the
    /// code gets the account, so make sure whom you give it to. An earlier one for the same account
    /// stops working. With --names-from too there is such a code for each account of the list.
    ///
    /// With --one-time-password, or --import for a whole class, the invited register by name and
    /// password, as the gradecoin dialect has it.
    Invite(invite::Options),
    /// Change the issuer of all servers on a PostgreSQL database; they must be stopped
    ///
    /// They all go by one name, and refuse to start with another. Every token ends, and clients must be told.
    Issuer(issuer::Options),
    /// List and revoke the keys of an account
    #[command(subcommand)]
    Keys(keys::Command),
    /// Bring the tables of a PostgreSQL database up to date, while servers run
    ///
    /// Run it with the new program, before the first server of the new version starts. Servers of the version
    /// before go on.
    Migrate,
    /// Move everything out of the data directory into a PostgreSQL database; the server must be stopped
    ///
    /// The database must be empty; its tables are made. All of it moves in one transaction and is read back
    /// and compared before that ends. Then the file is put aside. The master key stays the same.
    Move(moving::Options),
    /// Change the master key; the server must be stopped
    ///
    /// Seals every signing key anew, in one transaction; accounts and tokens are not concerned.
    /// Without an option a random key is made. A change that is interrupted is finished or undone
    /// by the next start.
    ///
    /// Backups made before open only with the old master key, which is removed: keep it with
    /// --keep-old for as long as you keep them, or make a new backup.
    ///
    /// With --abandon-signing-keys the present key need not be there: it is given up, with everything
    /// that only it opens, so that a server whose master key is lost starts again. Accounts, keys and
    /// passwords stay; every token ends. It says what is lost, and asks.
    Rekey(rekey::Options),
    /// Put a backup in the place of the database; the server must be stopped
    ///
    /// The backup is verified, and must open with the present master key, before anything is
    /// touched. To restore one that was made before the master key was changed, set
    /// `COUNTERSIGN_MASTER_KEY` to the key of that time. The database that was there is kept beside
    /// the restored one.
    ///
    /// With --abandon-signing-keys the key of the backup need not be there: what only it opens is
    /// given up, as `rekey --abandon-signing-keys` does it. It says what is lost, and asks.
    Restore(restore::Options),
    /// List and rotate the keys with which the server signs tokens
    #[command(subcommand)]
    SigningKeys(signing_keys::Command),
    /// Show the hash of the account app, as a server with these settings serves it
    ///
    /// `countersign serve` says the same hash at its start. Another build of the same version has the
    /// same files, so its hash can be compared. It is the SHA-256 of the list that --files shows.
    WebHash(web_hash::Options),
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let given = [("actor", options.actor), ("reason", options.reason)];
    let given = given.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    let settings = config::load(&options.location, given.collect())?;
    match options.command {
        Command::Accounts(command) => accounts::run(&settings, command).await,
        Command::Audit(options) => audit::run(&settings, options).await,
        Command::Backup(options) => backup::run(&settings, &options).await,
        Command::Check => check::run(&settings).await,
        Command::Init(options) => init::run(&settings, options).await,
        Command::Invitations(command) => invitations::run(&settings, command).await,
        Command::Invite(options) => invite::run(&settings, options).await,
        Command::Issuer(options) => issuer::run(&settings, options).await,
        Command::Keys(command) => keys::run(&settings, command).await,
        Command::Migrate => migrate::run(&settings).await,
        Command::Move(options) => moving::run(&settings, options).await,
        Command::Rekey(options) => rekey::run(&settings, options).await,
        Command::Restore(options) => restore::run(&settings, options).await,
        Command::SigningKeys(command) => signing_keys::run(&settings, command).await,
        Command::WebHash(options) => web_hash::run(&settings, &options),
    }
}
