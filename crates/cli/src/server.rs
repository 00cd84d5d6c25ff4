//! Opens what lies in a data directory: store, vault, authority.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, ensure};
use countersign_authority::{
    Authority,
    audit::{AuditEvent, EventKind},
    policy::Policy,
    ports::{Clock, Ports},
};
use countersign_memory::Capacity;
use countersign_store::sqlite::{
    InstallationId, Memory, OpenMode, ServerLock, SqliteOptions, SqliteStore, create_private_dir,
    installation_in_file,
};
use countersign_system::{SystemClock, SystemRandom};

use crate::{
    access, acting,
    config::Settings,
    first_start,
    master_key::{self, Source},
};

/// An opened data directory.
pub(crate) struct DataDir {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) ports: Ports,
}

/// The path of the database of `settings`: in the data directory, unless it is an absolute one.
pub(crate) fn database_path(settings: &Settings) -> PathBuf {
    settings.data_dir.join(&settings.database)
}

/// What a data directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command changes what no server may have open.
    Alone,
    /// A command looks at a database, or changes rows in it. It must be there.
    Command,
    /// A server starts where there never was a database.
    FirstStart,
    /// A restore tries a copy of a backup out.
    Rehearsal,
    /// A server starts on the database that was there before.
    Serve,
}

/// Opens the database; makes it for a first start.
pub(crate) fn open(settings: &Settings, purpose: Purpose) -> anyhow::Result<DataDir> {
    open_accepting(settings, purpose, false)
}

/// The same; `accept_loss` says that a missing write-ahead log is accepted.
fn open_accepting(
    settings: &Settings,
    purpose: Purpose,
    accept_loss: bool,
) -> anyhow::Result<DataDir> {
    let (mode, is_server) = match purpose {
        Purpose::Alone => (OpenMode::Existing, true),
        Purpose::Command => (OpenMode::Existing, false),
        Purpose::FirstStart => (OpenMode::CreateOrUpgrade, true),
        Purpose::Rehearsal => (OpenMode::CreateOrUpgrade, false),
        Purpose::Serve => (OpenMode::Upgrade, true),
    };
    if mode != OpenMode::CreateOrUpgrade
        && let Some(found) = installation_in_file(&database_path(settings))
    {
        check_installation(settings, found)?;
    }
    let disk_reserve = if is_server { settings.limits.disk_reserve_bytes } else { 0 };
    let now = SystemClock::new().now();
    let defaults = SqliteOptions::default();
    let administrator = match purpose {
        Purpose::Alone | Purpose::Command | Purpose::Rehearsal => {
            Some(acting::administrator(settings)?)
        }
        Purpose::FirstStart | Purpose::Serve => None,
    };
    let options = SqliteOptions {
        mode,
        is_server,
        accept_loss,
        administrator,
        disk_reserve,
        now,
        ..defaults
    };
    let store = SqliteStore::open(&database_path(settings), &options)
        .map_err(|error| access::explain(&settings.data_dir, error.into()))?;
    let store = Arc::new(store);
    let ports = ports(&store, settings);
    Ok(DataDir { store, ports })
}

/// What a server holds while it runs.
pub(crate) struct Opened {
    pub(crate) authority: Arc<Authority>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) master_key: Source,
    /// Whether the database was made just now.
    pub(crate) is_new: bool,
    /// Keeps a second server out of the data directory.
    pub(crate) lock: ServerLock,
}

/// What the operator has allowed a start to do, which it would refuse otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// To make a new database where there may have been one.
    pub(crate) anew: bool,
    /// To go on without the write-ahead log that belongs to the database.
    pub(crate) loss: bool,
}

/// Opens everything that a server needs.
pub(crate) async fn start(
    settings: &Settings,
    allowed: Allowed,
    policy: impl FnOnce() -> anyhow::Result<Policy>,
) -> anyhow::Result<Opened> {
    let policy = policy()?;
    let lock = lock(settings).map_err(|error| access::explain(&settings.data_dir, error))?;
    let purpose = first_start::decide(settings, &lock, allowed.anew)?;
    let may_make_key = purpose == Purpose::FirstStart;
    let keys = master_key::find(&settings.data_dir, may_make_key, &SystemRandom)?;
    let DataDir { ports, store } = open_accepting(settings, purpose, allowed.loss)?;
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
    let authority = Arc::new(Authority::start(policy, ports, vault).await?);
    lock.remember(Memory::Installation(store.installation()))?;
    let is_new = purpose == Purpose::FirstStart;
    Ok(Opened { authority, store, master_key: found.source, is_new, lock })
}

/// Takes the data directory for this server, and makes it if it is not there.
fn lock(settings: &Settings) -> anyhow::Result<ServerLock> {
    create_private_dir(&settings.data_dir)
        .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
    Ok(ServerLock::acquire(&settings.data_dir)?)
}

/// Refuses a database that was put in the place of the one that was used here before.
fn check_installation(settings: &Settings, found: InstallationId) -> anyhow::Result<()> {
    let Memory::Installation(expected) = ServerLock::memory_in(&settings.data_dir)? else {
        return Ok(());
    };
    ensure!(
        found == expected,
        "{}: this is the database of another installation than the one that was used in {2} \
         before. Put that one back, or use `countersign admin restore`; if this one is meant to be \
         here, delete {1}",
        database_path(settings).display(),
        settings.data_dir.join(ServerLock::FILE_NAME).display(),
        settings.data_dir.display(),
    );
    Ok(())
}

fn ports(store: &Arc<SqliteStore>, settings: &Settings) -> Ports {
    let limits = &settings.limits;
    let used_proofs = limits.replay_log();
    let capacity = Capacity {
        limited: limits.rate_limit_clients,
        used_proofs,
        used_proofs_share: limits.share_of(used_proofs),
        sessions: limits.sessions,
        sessions_share: limits.share(limits.sessions),
    };
    Ports {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        state: countersign_memory::state(&capacity),
        store: Arc::clone(store) as _,
    }
}
