//! Opens what lies in a data directory: store, vault, authority.

use std::{fs, os::unix::fs::DirBuilderExt as _, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use countersign_authority::{
    Authority,
    policy::Policy,
    ports::{Clock, Ports, Random},
};
use countersign_store::{
    memory::{MemoryRateLimiter, MemoryReplayLog, MemorySessionNonces, MemoryWindowLimiter},
    sqlite::{ServerLock, SqliteOptions, SqliteStore},
};
use countersign_system::{SystemClock, SystemRandom};

use crate::{
    config::Settings,
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

/// Opens the database; makes directory and database if they are missing and `may_create`.
pub(crate) fn open(settings: &Settings, may_create: bool) -> anyhow::Result<DataDir> {
    if may_create {
        let path = &settings.data_dir;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
    }
    let mut options = SqliteOptions { now: SystemClock::new().now(), ..SqliteOptions::default() };
    if !may_create {
        options.mode = countersign_store::sqlite::OpenMode::Existing;
    }
    let store = Arc::new(SqliteStore::open(&database_path(settings), &options)?);
    let ports = ports(&store, settings);
    Ok(DataDir { store, ports })
}

/// What a server holds while it runs.
pub(crate) struct Opened {
    pub(crate) authority: Arc<Authority>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) master_key: Source,
    /// Keeps a second server out of the data directory.
    pub(crate) lock: ServerLock,
}

/// Opens everything that a server needs.
pub(crate) async fn start(
    settings: &Settings,
    policy: impl FnOnce() -> anyhow::Result<Policy>,
) -> anyhow::Result<Opened> {
    let is_new = !database_path(settings).exists();
    let policy = policy()?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&settings.data_dir)
        .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
    let lock = ServerLock::acquire(&settings.data_dir)?;
    let keys = master_key::find(&settings.data_dir, is_new, &SystemRandom)?;
    let DataDir { ports, store } = open(settings, true)?;
    let (vault, found) = master_key::open_vault(&settings.data_dir, keys, &*ports.vault).await?;
    let found = master_key::settle(&settings.data_dir, found)?;
    let authority = Arc::new(Authority::start(policy, ports, vault).await?);
    Ok(Opened { authority, store, master_key: found.source, lock })
}

fn ports(store: &Arc<SqliteStore>, settings: &Settings) -> Ports {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let replay_log = settings.limits.replay_log_entries;
    Ports {
        accounts: Arc::clone(store) as _,
        audit: Arc::clone(store) as _,
        clock,
        credentials: Arc::clone(store) as _,
        invitations: Arc::clone(store) as _,
        passwords: Arc::clone(store) as _,
        random,
        rate_limiter: Arc::new(MemoryRateLimiter::new(settings.limits.rate_limit_clients)),
        replay_log: Arc::new(MemoryReplayLog::new(
            replay_log,
            settings.limits.share_of(replay_log),
        )),
        revocations: Arc::clone(store) as _,
        session_nonces: Arc::new(MemorySessionNonces::new(settings.limits.sessions)),
        server_keys: Arc::clone(store) as _,
        signing_keys: Arc::clone(store) as _,
        vault: Arc::clone(store) as _,
        watch: Arc::clone(store) as _,
        window_limiter: Arc::new(MemoryWindowLimiter::new(settings.limits.rate_limit_clients)),
    }
}
