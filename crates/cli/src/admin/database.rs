//! How the commands of administrators open the database.

use anyhow::{anyhow, ensure};
use countersign_authority::{
    keys::rekey::{Rekey, RekeyError},
    ports::{Ports, VaultStore},
};
use countersign_protocol::UnixTime;
use countersign_store::sqlite::{OpenError, give_up_ballast};
use countersign_system::SystemRandom;

use super::claim::Claim;
use crate::{
    config::Settings,
    data_dir::{self, DataDir, Purpose},
    output,
};

/// Opens the database, which must be there.
pub(super) fn open(settings: &Settings) -> anyhow::Result<DataDir> {
    open_for(settings, Purpose::Command)
}

pub(super) fn open_for(settings: &Settings, purpose: Purpose) -> anyhow::Result<DataDir> {
    require_data_dir(settings)?;
    data_dir::open(settings, purpose).map_err(|error| match error.downcast_ref() {
        Some(OpenError::Missing { .. }) => anyhow!(
            "there is no database in {}: name another directory with --data-dir. If there was one, \
             put it back or restore a backup; the first one is made by `countersign serve`",
            settings.data_dir.display()
        ),
        _ => error,
    })
}

/// Opens the database to change something in it. The claim keeps other commands from replacing it
/// meanwhile.
pub(super) fn open_to_change(settings: &Settings) -> anyhow::Result<(Claim, DataDir)> {
    require_data_dir(settings)?;
    make_room_if_full(settings);
    Ok((Claim::shared(&settings.data_dir)?, open(settings)?))
}

/// On a full disk, removes the ballast that the server keeps for this case.
pub(super) fn make_room_if_full(settings: &Settings) {
    match give_up_ballast(&data_dir::database_path(settings)) {
        Ok(Some(path)) => output::remark(format!(
            "the disk is full: removed {}, which was kept for that, to have room",
            path.display()
        )),
        Ok(None) => {}
        Err(error) => output::remark(format!("the disk cannot be asked how full it is: {error}")),
    }
}

pub(super) fn require_data_dir(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.data_dir.is_dir(),
        "there is no data directory {}: name it with --data-dir, or let `countersign serve` make \
         it",
        settings.data_dir.display()
    );
    Ok(())
}

/// Refuses a database that no server has ever used: it has no vault that a key could open.
pub(super) async fn require_vault(store: &dyn VaultStore) -> anyhow::Result<()> {
    match store.vault().await? {
        Some(_) => Ok(()),
        None => Err(RekeyError::Empty.into()),
    }
}

/// A change of the master key of the store behind `ports`.
pub(super) fn rekey(ports: &Ports, now: UnixTime) -> Rekey<'_> {
    Rekey { vaults: &*ports.store, signing_keys: &*ports.store, now, random: &SystemRandom }
}
