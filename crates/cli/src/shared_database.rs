//! Opens a PostgreSQL database, which several servers share.
//!
//! No server makes tables or a master key there: of several that start at once, each could think that it is
//! the first. `countersign admin init` does it, once.

use std::sync::Arc;

use countersign_authority::ports::Clock as _;
use countersign_protocol::ports::random_bytes;
use countersign_store::postgres::{
    DatabaseUrl, PostgresError, PostgresOptions, PostgresStore, SchemaMode,
};
use countersign_system::{SystemClock, SystemRandom};

use crate::{
    administrator::administrator,
    config::Settings,
    database::{Database, Engine},
};

/// The purpose of opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command works with the tables that are there.
    Command,
    /// A command looks whether all is well, so it opens also what is not.
    Check,
    /// A command makes the tables.
    Init,
    /// A command brings the tables up to date.
    Migrate,
    /// A server starts.
    Serve,
}

impl Purpose {
    const fn mode(self) -> SchemaMode {
        match self {
            Self::Command | Self::Check | Self::Serve => SchemaMode::Existing,
            Self::Init => SchemaMode::CreateOrUpgrade,
            Self::Migrate => SchemaMode::Upgrade,
        }
    }
}

/// Opens the database at `url`.
///
/// # Errors
/// [`PostgresError`], whose message says what to do.
pub(crate) fn open(
    settings: &Settings,
    url: &DatabaseUrl,
    purpose: Purpose,
) -> anyhow::Result<(Arc<PostgresStore>, Database)> {
    let postgres = &settings.postgres;
    let defaults = PostgresOptions::default();
    let is_server = purpose == Purpose::Serve;
    let now = SystemClock::new().now();
    let options = PostgresOptions {
        mode: purpose.mode(),
        // A command does one thing after the other.
        writers: if is_server { postgres.connections } else { 1 },
        readers: if is_server { defaults.readers } else { 1 },
        prepared: postgres.prepared,
        allow_asynchronous: postgres.allow_asynchronous || purpose == Purpose::Check,
        administrator: if is_server { None } else { Some(administrator(settings)?) },
        now,
        spread: u64::from_be_bytes(random_bytes(&SystemRandom)),
        ..defaults
    };
    let store = match PostgresStore::open(url, &options) {
        Ok(store) => Arc::new(store),
        Err(error @ (PostgresError::Empty | PostgresError::Foreign)) => {
            return Err(anyhow::Error::new(error).context(url.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let database = Database::of(Engine::Postgres(Arc::clone(&store)), settings, now);
    Ok((store, database))
}
