//! Opens everything that a server needs: database, master key, authority.

mod opened;
mod shared;

use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::{
    Authority,
    model::audit::{AuditEvent, EventKind},
};
use countersign_protocol::proofs::target_uri::TargetUri;
use countersign_store::sqlite::{Memory, ServerLock, create_private_dir};
use countersign_system::SystemRandom;

pub(crate) use self::opened::{Allowed, Opened, Presence};
use crate::{
    config::{Listen, Settings},
    data_dir::{Purpose, check_installation, open_accepting},
    database::{Database, Place},
    first_start, issuer, lost_passkeys, master_key, ownership,
};

/// Opens everything that a server needs that listens on `bound`.
pub(crate) async fn start(
    settings: &Settings,
    allowed: Allowed,
    bound: Listen,
) -> anyhow::Result<Opened> {
    // Whatever is wrong with the settings is said before anything is made.
    let derived = settings.origin(bound)?;
    settings.policy(derived.clone())?;
    let state_place = settings.state_place()?;
    match settings.database_url()? {
        Some(url) => shared::start(settings, allowed, url, derived, state_place).await,
        None => alone(settings, allowed, derived).await,
    }
}

/// Opens everything that the one server of a data directory needs.
async fn alone(
    settings: &Settings,
    allowed: Allowed,
    derived: TargetUri,
) -> anyhow::Result<Opened> {
    let lock = lock(settings).map_err(|error| ownership::explain(&settings.data_dir, error))?;
    let purpose = first_start::decide(settings, &lock, allowed.anew)?;
    let may_make_key = purpose == Purpose::FirstStart;
    let keys = master_key::find(&settings.data_dir, may_make_key, &SystemRandom)?;
    let (store, database) = open_accepting(settings, purpose, allowed.loss)?;
    let Database { engine, ports } = database;
    check_installation(settings, store.installation())?;
    if store.lacked_log() {
        let event = AuditEvent::new(ports.clock.now(), EventKind::DatabaseLossAccepted)
            .detail("the write-ahead log was missing".to_owned());
        ports.store.append(vec![event]).await?;
    }
    let (vault, found) =
        master_key::open_vault(&settings.data_dir, keys, &*ports.store, master_key::IF_LOST)
            .await?;
    let found = master_key::settle(&settings.data_dir, found)?;
    master_key::warn_if_weak(&found);
    let is_new = purpose == Purpose::FirstStart;
    let issuer = issuer::settle(settings, &*store, derived, is_new).await?;
    let policy = settings.policy(issuer.origin.clone())?;
    lost_passkeys::check(settings, &policy, &*store).await?;
    let authority = Arc::new(Authority::start(policy, ports, vault).await?);
    // Only now: a start that is refused changes nothing.
    issuer.keep(settings, &*store).await?;
    lock.remember(Memory::Installation(store.installation()))?;
    let place = Place::DataDir(settings.data_dir.clone());
    let presence = Presence::Alone(lock);
    Ok(Opened { authority, engine, place, master_key: found.source, is_new, presence })
}

/// The error of a start while another server runs on the same data directory, which then has the port too;
/// none if no such server runs.
pub(crate) fn running_already(settings: &Settings) -> Option<anyhow::Error> {
    let is_held = ServerLock::is_held(&settings.data_dir).is_ok_and(|held| held);
    is_held.then(|| ServerLock::acquire(&settings.data_dir).err())?.map(Into::into)
}

/// Takes the data directory for this server, and makes it if it is not there.
fn lock(settings: &Settings) -> anyhow::Result<ServerLock> {
    create_private_dir(&settings.data_dir)
        .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
    Ok(ServerLock::acquire(&settings.data_dir)?)
}
