//! `countersign admin rekey`.

pub(super) mod abandon;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use countersign_authority::keys::{
    rekey::OldMasterKey,
    vault::{MasterKey, Vault},
};
use countersign_store::{
    postgres::PostgresStore,
    sqlite::{ServerLock, create_private_dir},
};
use countersign_system::SystemRandom;

use super::{
    claim::Claim,
    database::{make_room_if_full, open_file, open_shared, rekey, require_data_dir, require_vault},
};
use crate::{
    client::terminal::confirm,
    config::Settings,
    data_dir::Purpose,
    database::Database,
    master_key::{self, Found, Source},
    node, output, shared_database,
};

#[derive(Args)]
pub(super) struct Options {
    /// Take the new key from this file: 32 bytes as hex or base64, or a passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "new_key_env")]
    new_key_file: Option<PathBuf>,

    /// Take the new key from this environment variable
    #[arg(long, value_name = "VARIABLE")]
    new_key_env: Option<String>,

    /// Write the old key to this new file before anything else
    #[arg(long, value_name = "FILE")]
    keep_old: Option<PathBuf>,

    /// The old key is lost for good: give up what only it opens, and make a new one
    #[arg(long, conflicts_with = "keep_old")]
    abandon_signing_keys: bool,

    /// Do not ask whether the old key, or what only a lost one opens, shall be given up
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let given = given_key(&options)?;
    let directory = &settings.data_dir;
    let held = Held::take(settings).await?;
    let database = &held.database;
    if options.abandon_signing_keys {
        abandon::run(directory, database, given, options.yes).await?;
        return held.let_go().await;
    }
    if options.keep_old.is_none() {
        let question = "the old master key is not kept (--keep-old FILE keeps it), and backups that \
                        were made before open with no other: go on";
        confirm(question, options.yes)?;
    }
    let old = present_key(directory, database).await?;
    let place = Place::choose(&old.source, given.is_some(), directory)?;
    let new = given.unwrap_or_else(|| MasterKey::generate(&SystemRandom));
    ensure!(*old.key.reveal() != *new.reveal(), "this is the present master key already");
    if let Some(path) = &options.keep_old {
        master_key::write_new(path, &old.key)?;
    }
    let left = match place {
        Place::Environment => change(database, &old.key, &new).await?,
        Place::File => change_with_file(directory, database, &old.key, &new).await?,
    };
    tell(directory, place, &old.source, options.keep_old.as_deref());
    warn_of(left);
    held.let_go().await
}

/// The database, while no server works on it. Fields are dropped in this order.
struct Held {
    database: Database,
    /// If other machines have it too.
    shared: Option<Arc<PostgresStore>>,
    _lock: Option<ServerLock>,
    _claim: Claim,
}

impl Held {
    async fn take(settings: &Settings) -> anyhow::Result<Self> {
        let directory = &settings.data_dir;
        if settings.database_url()?.is_none() {
            require_data_dir(settings)?;
            make_room_if_full(settings);
            let claim = Claim::alone(directory)?;
            let lock = ServerLock::acquire(directory).context("stop the server first")?;
            let (_, database) = open_file(settings, Purpose::Alone)?;
            return Ok(Self { database, shared: None, _lock: Some(lock), _claim: claim });
        }
        create_private_dir(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let claim = Claim::alone(directory)?;
        let (_, store, database) = open_shared(settings, shared_database::Purpose::Command)?;
        node::refuse_while_running(&store).await?;
        Ok(Self { database, shared: Some(store), _lock: None, _claim: claim })
    }

    /// Says what is left to do. A server says that it runs before it reads the vault, so one that has read the
    /// old vault is seen here.
    async fn let_go(self) -> anyhow::Result<()> {
        let Some(store) = &self.shared else { return Ok(()) };
        output::remark("every server needs the new master key before it starts");
        for started in node::running(store).await? {
            output::remark(format!(
                "WARNING: {} has started meanwhile, with the old key: stop it",
                started.node.id
            ));
        }
        Ok(())
    }
}

/// Where the new key will be.
#[derive(Clone, Copy)]
enum Place {
    /// Wherever the operator keeps it who puts it into the environment.
    Environment,
    /// In the key file.
    File,
}

impl Place {
    /// An operator who keeps the present key outside the data directory keeps the new key outside
    /// too.
    fn choose(old: &Source, given: bool, directory: &Path) -> anyhow::Result<Self> {
        let Source::Environment(variable) = old else { return Ok(Self::File) };
        if given {
            return Ok(Self::Environment);
        }
        let path = master_key::file_in(directory);
        ensure!(
            !path.exists(),
            "the present master key is that of {variable}, and the new one would overwrite {}: \
             move that file away, or give the new key",
            path.display()
        );
        Ok(Self::File)
    }
}

fn given_key(options: &Options) -> anyhow::Result<Option<MasterKey>> {
    let (key, place) = if let Some(path) = &options.new_key_file {
        let otherwise = "give the name of a variable that holds the new key, with --new-key-env";
        let key = master_key::read_or(path, otherwise)?;
        let place = path.display().to_string();
        (key.with_context(|| format!("there is no file {place}"))?, place)
    } else if let Some(variable) = &options.new_key_env {
        let key = master_key::read_variable(variable)?;
        (key.with_context(|| format!("{variable} is not set, or empty"))?, variable.clone())
    } else {
        return Ok(None);
    };
    master_key::refuse_weak(&key, &place)?;
    Ok(Some(key))
}

/// The key that opens the vault. If an earlier change was interrupted, it is completed first.
async fn present_key(directory: &Path, database: &Database) -> anyhow::Result<Found> {
    let vaults = &*database.ports.store;
    require_vault(vaults).await?;
    let keys = master_key::find(directory, false, &SystemRandom)?;
    let (_, found) = master_key::open_vault(directory, keys, vaults, master_key::IF_LOST).await?;
    master_key::settle(directory, found)
}

/// Changes to a new key in the key file. At every moment one of the key files opens the vault; the
/// old key is removed last.
async fn change_with_file(
    directory: &Path,
    database: &Database,
    old: &MasterKey,
    new: &MasterKey,
) -> anyhow::Result<OldMasterKey> {
    let next = master_key::next_file_in(directory);
    master_key::write_new(&next, new)?;
    let left = change(database, old, new).await.with_context(|| {
        format!("leave {} as it is: the next start finds out whether it counts", next.display())
    })?;
    master_key::adopt_next(directory)?;
    Ok(left)
}

async fn change(
    database: &Database,
    old: &MasterKey,
    new: &MasterKey,
) -> anyhow::Result<OldMasterKey> {
    let (ports, now) = (&database.ports, database.ports.clock.now());
    let left = rekey(ports, now).change_master_key(old, new).await?;
    Vault::open(&*ports.store, new, &SystemRandom).await?;
    Ok(left)
}

/// A database from before the vault had roots of its own needs more than another master key.
fn warn_of(left: OldMasterKey) {
    match left {
        OldMasterKey::OpensNothing => {}
        OldMasterKey::OpensWhatWasSealedBefore => output::remark(
            "WARNING: this database was made by an early version, in which everything was sealed with the master \
             key itself. With the database, the old key still opens what was sealed until now. If it is in the \
             wrong hands: countersign admin signing-keys rotate --withdraw, after the start",
        ),
    }
}

fn tell(directory: &Path, place: Place, old: &Source, kept: Option<&Path>) {
    let path = master_key::file_in(directory);
    let path = path.display();
    output::remark("the master key is changed");
    match (place, old) {
        (Place::File, Source::Environment(variable)) => output::remark(format!(
            "from now on {variable} must not be set: the new key is in {path}"
        )),
        (Place::Environment, Source::Environment(variable)) => {
            output::remark(format!("from now on {variable} must be set to the new key"));
        }
        (_, Source::File(_) | Source::Interrupted(_) | Source::NewFile(_)) => {
            output::remark(format!("the new key is in {path}: keep a copy of it elsewhere"));
        }
    }
    output::remark(match kept {
        Some(kept) => {
            format!("earlier backups open only with the old key, which is in {}", kept.display())
        }
        None => "earlier backups open only with the old key: make a new one".to_owned(),
    });
}
