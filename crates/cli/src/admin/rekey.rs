//! `countersign admin rekey`.

pub(super) mod abandon;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use countersign_authority::keys::vault::{MasterKey, Vault};
use countersign_store::sqlite::ServerLock;
use countersign_system::SystemRandom;

use super::{
    claim::Claim,
    database::{make_room_if_full, open_for, rekey, require_data_dir, require_vault},
};
use crate::{
    client::terminal::confirm,
    config::Settings,
    data_dir::{DataDir, Purpose},
    master_key::{self, Found, Source},
    output,
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
    require_data_dir(settings)?;
    let given = given_key(&options)?;
    let directory = &settings.data_dir;
    make_room_if_full(settings);
    let _claim = Claim::alone(directory)?;
    let _lock = ServerLock::acquire(directory).context("stop the server first")?;
    let data_dir = open_for(settings, Purpose::Alone)?;
    if options.abandon_signing_keys {
        return abandon::run(directory, &data_dir, given, options.yes).await;
    }
    if options.keep_old.is_none() && io::stdin().is_terminal() {
        let question = "the old master key is not kept (--keep-old FILE keeps it), and backups that \
                        were made before open with no other: go on";
        confirm(question, options.yes)?;
    }
    let old = present_key(directory, &data_dir).await?;
    let place = Place::choose(&old.source, given.is_some(), directory)?;
    let new = given.unwrap_or_else(|| MasterKey::generate(&SystemRandom));
    ensure!(*old.key.reveal() != *new.reveal(), "this is the present master key already");
    if let Some(path) = &options.keep_old {
        master_key::write_new(path, &old.key)?;
    }
    match place {
        Place::Environment => change(&data_dir, &old.key, &new).await?,
        Place::File => change_with_file(directory, &data_dir, &old.key, &new).await?,
    }
    tell(directory, place, &old.source, options.keep_old.as_deref());
    Ok(())
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
async fn present_key(directory: &Path, data_dir: &DataDir) -> anyhow::Result<Found> {
    let vaults = &*data_dir.ports.store;
    require_vault(vaults).await?;
    let keys = master_key::find(directory, false, &SystemRandom)?;
    let (_, found) = master_key::open_vault(directory, keys, vaults, master_key::IF_LOST).await?;
    master_key::settle(directory, found)
}

/// Changes to a new key in the key file. At every moment one of the key files opens the vault; the
/// old key is removed last.
async fn change_with_file(
    directory: &Path,
    data_dir: &DataDir,
    old: &MasterKey,
    new: &MasterKey,
) -> anyhow::Result<()> {
    let next = master_key::next_file_in(directory);
    master_key::write_new(&next, new)?;
    change(data_dir, old, new).await.with_context(|| {
        format!("leave {} as it is: the next start finds out whether it counts", next.display())
    })?;
    master_key::adopt_next(directory)
}

async fn change(data_dir: &DataDir, old: &MasterKey, new: &MasterKey) -> anyhow::Result<()> {
    let (ports, now) = (&data_dir.ports, data_dir.ports.clock.now());
    rekey(ports, now).change_master_key(old, new).await?;
    Vault::open(&*ports.store, new, &SystemRandom).await?;
    Ok(())
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
