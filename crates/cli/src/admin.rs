//! The commands of administrators. They work on the database itself, whether or not a server runs.

mod accounts;
mod audit;
mod backup;
mod check;
mod claim;
mod class_list;
mod invitations;
mod invite;
mod keys;
mod rekey;
mod restore;
mod signing_keys;
mod table;

use anyhow::{anyhow, ensure};
use clap::{Args, Subcommand};
use countersign_authority::{
    AdminError, account::AccountName, ports::VaultStore, rekey::RekeyError,
};
use countersign_protocol::Scopes;
use countersign_store::sqlite::{OpenError, give_up_ballast};

use self::claim::Claim;
use crate::{
    config::{self, Location, Settings},
    output,
    server::{self, DataDir, Purpose},
};

/// The commands of administrators.
#[derive(Args)]
#[command(
    after_help = "These commands work on the database itself: they need its files, and no server. \
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
    Check,
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
    /// List and revoke the keys of an account
    #[command(subcommand)]
    Keys(keys::Command),
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
        Command::Invitations(command) => invitations::run(&settings, command).await,
        Command::Invite(options) => invite::run(&settings, options).await,
        Command::Keys(command) => keys::run(&settings, command).await,
        Command::Rekey(options) => rekey::run(&settings, options).await,
        Command::Restore(options) => restore::run(&settings, options).await,
        Command::SigningKeys(command) => signing_keys::run(&settings, command).await,
    }
}

/// Opens the database, which must be there.
fn open(settings: &Settings) -> anyhow::Result<DataDir> {
    open_for(settings, Purpose::Command)
}

fn open_for(settings: &Settings, purpose: Purpose) -> anyhow::Result<DataDir> {
    require_data_dir(settings)?;
    server::open(settings, purpose).map_err(|error| match error.downcast_ref() {
        Some(OpenError::Missing { .. }) => anyhow!(
            "there is no database in {}: name another directory with --data-dir. If there was one, \
             put it back or restore a backup; the first one is made by `countersign serve`",
            settings.data_dir.display()
        ),
        _ => error,
    })
}

/// Opens the database to change something in it. The claim keeps it from being replaced meanwhile.
fn open_to_change(settings: &Settings) -> anyhow::Result<(Claim, DataDir)> {
    require_data_dir(settings)?;
    make_room_if_full(settings);
    Ok((Claim::shared(&settings.data_dir)?, open(settings)?))
}

/// On a full disk, gives up what the server keeps there for this moment.
fn make_room_if_full(settings: &Settings) {
    match give_up_ballast(&server::database_path(settings)) {
        Ok(Some(path)) => output::remark(format!(
            "the disk is full: removed {}, which was kept for that, to have room",
            path.display()
        )),
        Ok(None) => {}
        Err(error) => output::remark(format!("the disk cannot be asked how full it is: {error}")),
    }
}

fn require_data_dir(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.data_dir.is_dir(),
        "there is no data directory {}: name it with --data-dir, or let `countersign serve` make \
         it",
        settings.data_dir.display()
    );
    Ok(())
}

/// Refuses a database that no server has ever used: it has no vault that a key could open.
async fn require_vault(store: &dyn VaultStore) -> anyhow::Result<()> {
    match store.vault().await? {
        Some(_) => Ok(()),
        None => Err(RekeyError::Empty.into()),
    }
}

/// How much of a list is wanted.
#[derive(Args)]
struct Limit {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Limit {
    /// One more, which shows that there are more.
    const fn and_one(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// Cuts `items` to what is wanted, and says whether there were more.
    fn cut<T>(&self, items: &mut Vec<T>) -> bool {
        let limit = self.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        more
    }
}

/// What to say when an act on the account `name` fails.
fn explain(name: &AccountName) -> impl Fn(AdminError) -> anyhow::Error {
    move |error| match error {
        AdminError::NoAccount => anyhow!(
            "there is no account {name}: `countersign admin accounts list` shows all of them"
        ),
        AdminError::Disabled => anyhow!(
            "{name} is disabled, and nobody shall get into it: `countersign admin accounts enable \
             {name}` comes first"
        ),
        error => error.into(),
    }
}

/// One set of those that the command line gives.
fn union(scopes: &[Scopes]) -> anyhow::Result<Scopes> {
    let empty = Scopes::none();
    Ok(scopes.iter().try_fold(empty, |all, scopes| all.union(scopes))?)
}

/// `one account`, `3 accounts`.
fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}
