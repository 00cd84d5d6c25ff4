//! Opens the database.

use std::{sync::Arc, thread};

use tokio::runtime::Builder;

use super::{
    beats::Beats,
    changes::Cursors,
    connector::Connector,
    engine::{Postgres, PostgresStore},
    error::PostgresError,
    live::Live,
    losses::Losses,
    options::PostgresOptions,
    schema, startup,
    url::DatabaseUrl,
    workers::Workers,
};
use crate::{InstallationId, Stored};

impl PostgresStore {
    /// Opens the database at `url`. Blocks while it connects and, if `options` say so, makes the tables.
    ///
    /// # Errors
    /// [`PostgresError`] says what is wrong with the server, the database or its tables. What is not ours,
    /// or of a version that this program does not know, stays as it is.
    pub fn open(url: &DatabaseUrl, options: &PostgresOptions) -> Result<Self, PostgresError> {
        // On a thread of its own, because the caller's may be one of a runtime, on which no other runs.
        let open = || open(url, options);
        let opened = thread::scope(|scope| {
            let opening = thread::Builder::new().name("postgres-open".to_owned());
            opening.spawn_scoped(scope, open).map(thread::ScopedJoinHandle::join)
        });
        let panicked = |_| PostgresError::Refused { reason: "opening it failed".to_owned() };
        opened.map_err(PostgresError::Threads)?.unwrap_or_else(|panic| Err(panicked(panic)))
    }
}

fn open(url: &DatabaseUrl, options: &PostgresOptions) -> Result<PostgresStore, PostgresError> {
    let PostgresOptions { prepared, spread, .. } = *options;
    let connector = Connector::new(url, prepared, options.administrator.clone(), spread)?;
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(PostgresError::Threads)?;
    let installation = runtime.block_on(async {
        let live = connector.connect().await?;
        let prepared = prepare(&live, options).await;
        live.close().await;
        prepared
    })?;
    let stopwatch = Arc::clone(&connector.stopwatch);
    let connector = Arc::new(connector);
    let workers = Workers::start(&connector, options).map_err(PostgresError::Threads)?;
    Ok(Stored::over(Postgres {
        workers,
        connector,
        installation,
        cursors: Cursors::default(),
        beats: Beats::default(),
        losses: Losses::new(options.allow_asynchronous),
        stopwatch,
        is_command: options.administrator.is_some(),
    }))
}

/// Sees that the server and the tables are as they must be.
async fn prepare(live: &Live, options: &PostgresOptions) -> Result<InstallationId, PostgresError> {
    startup::check(live, options.allow_asynchronous).await?;
    schema::prepare(live, options.mode, options.now).await?;
    let id = schema::first(live, "SELECT id FROM installation", |row| row.try_get::<_, Vec<u8>>(0));
    let id = id.await?.try_into();
    let damaged = |_| PostgresError::Damaged { reason: "installation.id".to_owned() };
    id.map(InstallationId::from_bytes).map_err(damaged)
}
