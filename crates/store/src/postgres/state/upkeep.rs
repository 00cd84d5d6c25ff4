//! What is done from time to time.

use std::{sync::Arc, time::Duration};

use tokio::{select, time::sleep};
use tokio_postgres::types::ToSql;

use super::{
    away::{Away, column},
    link::Link,
    links::Links,
    options::StateOptions,
};
use crate::rows::millis;

/// How often it is done.
const EVERY: Duration = Duration::from_secs(10);
/// How long a statement may take that nobody waits for.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How many rows of a table one statement removes.
const BATCH: i64 = 5_000;

/// Sees that no other server counts, looks at the clock of the database and removes what has ended, for as long as it is polled.
pub(super) async fn run(links: Arc<Links>, options: StateOptions) {
    loop {
        // Another connection may be one to another server.
        select! {
            () = sleep(EVERY) => {}
            () = links.connected.notified() => {}
        }
        if let Err(away) = look_after(&links, &options).await {
            tracing::debug!(%away, "the short-lived state was not looked after");
        }
    }
}

async fn look_after(links: &Links, options: &StateOptions) -> Result<(), Away> {
    links.look_around().await;
    // An answer that takes long says little.
    links.measure(options.answer_within).await?;
    links.ask_epoch().await?;
    while prune(links, options).await? {}
    Ok(())
}

/// Whether there may be more to remove.
pub(super) async fn prune(links: &Links, options: &StateOptions) -> Result<bool, Away> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (sessions, limited) = (count(options.sessions), count(options.limited));
    let (now, shared) = (millis(links.clock.now()), links.clock.shared(links.clock.monotonic()));
    let asked = links.ask_aside(PATIENCE, async move |link: Arc<Link>| {
        let parameters: [&(dyn ToSql + Sync); 5] = [&now, &shared, &BATCH, &sessions, &limited];
        link.client.query_one(&link.statements.prune, &parameters).await
    });
    column(&asked.await?, 0)
}

impl Links {
    /// Measures by how much the clock of this node differs from that of the database.
    pub(super) async fn measure(&self, within: Duration) -> Result<(), Away> {
        let asked_at = self.clock.monotonic();
        let asked = self.ask_aside(within, async move |link: Arc<Link>| {
            link.client.query_one(&link.statements.time, &[]).await
        });
        self.clock.measured(asked_at, column(&asked.await?, 0)?);
        Ok(())
    }
}
