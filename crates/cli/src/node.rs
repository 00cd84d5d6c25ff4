//! This server among those that share its database: what it says of itself, and hears of the others.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{anyhow, ensure};
use countersign_authority::{
    Authority,
    ports::{StoreError, VaultRecord, VaultStore as _},
    trouble::{Lasts, Trouble},
};
use countersign_protocol::{
    UnixTime,
    ports::{Clock, random_bytes},
};
use countersign_store::postgres::{self, PostgresStore, SeenNode};
use countersign_system::SystemRandom;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    config::{Settings, StatePlace},
    output,
};

/// How often a server says that it runs.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// Who starts under the name of a server that has been silent for so long takes the name over.
const KILLED_AFTER: Duration = Duration::from_secs(7);
/// A server that has been silent for longer has ended, or cannot reach the database.
const SILENT_AFTER: Duration = Duration::from_secs(15);
/// Longer names are refused, in characters.
const MAX_ID: usize = 100;

/// This server.
pub(crate) struct Node {
    store: Arc<PostgresStore>,
    said: postgres::Node,
    /// When it started, by the clock of the database.
    started_at: UnixTime,
    /// What proves which master key this server has.
    vault: VaultRecord,
}

impl Node {
    /// The server with these settings, which goes by `issuer`. Says for the first time that it runs, and warns if
    /// others run with other settings.
    ///
    /// # Errors
    /// When another server has its name. When others keep used proofs elsewhere: what was used at one would work
    /// again at the other.
    pub(crate) async fn enter(
        settings: &Settings,
        store: Arc<PostgresStore>,
        issuer: &str,
        state: StatePlace,
        vault: VaultRecord,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let said = postgres::Node {
            id: id(settings)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            issuer: issuer.to_owned(),
            state: state.name().to_owned(),
            settings: settings.shared_digest(),
            clock_ahead_millis: None,
            news_age: Duration::ZERO,
        };
        let started_at = take_name(&store, &said, clock).await?;
        let node = Self { store, said, started_at, vault };
        match node.compare_with_others().await {
            Ok(()) => Ok(node),
            Err(error) => {
                node.end().await;
                Err(error)
            }
        }
    }

    async fn compare_with_others(&self) -> anyhow::Result<()> {
        for other in running(&self.store).await? {
            let other = other.node;
            ensure!(
                other.state == self.said.state,
                "{} keeps used proofs elsewhere (cluster.state = {:?}) than this server would ({:?}), so what \
                 was used there would work again here: stop all servers, then start them with one setting",
                other.id,
                other.state,
                self.said.state
            );
            if other.version == self.said.version && other.settings != self.said.settings {
                tracing::warn!(
                    node = other.id,
                    "another server of this database has other settings: clients that come to both get \
                     different answers"
                );
            }
        }
        Ok(())
    }

    /// Says again and again that it runs, and how. Failures are logged, and tried again at the next turn.
    /// Returns why this server must end, if it must.
    pub(crate) async fn run(&self, authority: &Authority) -> anyhow::Error {
        let mut turns = interval(BEAT_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (trouble, now) = (Trouble::default(), || authority.core.clock().monotonic());
        loop {
            turns.tick().await;
            let said = postgres::Node {
                clock_ahead_millis: authority.health.clock_ahead_millis(),
                news_age: authority.core.age_of_news(),
                ..self.said.clone()
            };
            match self.store.beat(&said, self.started_at).await {
                Ok(true) => {
                    if let Some(Lasts { failures, seconds }) = trouble.passed(now()) {
                        tracing::info!(
                            failures,
                            seconds,
                            "this server says in the database again that it runs"
                        );
                    }
                }
                Ok(false) => return anyhow!(taken(&said.id)),
                Err(error) => {
                    if let Some(Lasts { failures, seconds }) = trouble.failed(now()) {
                        tracing::error!(
                            %error,
                            failures,
                            seconds,
                            "this server could not say in the database that it runs"
                        );
                    }
                }
            }
            // What others seal from now on, such as the next signing key, does not open here.
            if let Ok(Some(vault)) = self.store.vault().await
                && vault != self.vault
            {
                return anyhow!(
                    "the master key was changed by `countersign admin rekey` while this server ran: bring the new \
                     master.key here, and start it again"
                );
            }
        }
    }

    /// Says that it stops.
    pub(crate) async fn end(&self) {
        if let Err(error) = self.store.forget_node(&self.said.id, self.started_at).await {
            tracing::warn!(%error, "the database takes this server for a running one, for some seconds");
        }
    }
}

/// Takes the name of a server that starts. Whoever has it may have been killed, and is silent then.
async fn take_name(
    store: &PostgresStore,
    said: &postgres::Node,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<UnixTime> {
    let id = &said.id;
    let mut before = named(store, id).await?;
    if let Some(silent_for) = before.as_ref().map(|seen| seen.silent_for)
        && silent_for < KILLED_AFTER
    {
        output::remark(format!("waiting whether the server called {id} still runs, or was killed"));
        sleep(KILLED_AFTER.saturating_sub(silent_for)).await;
        before = named(store, id).await?;
        ensure!(before.as_ref().is_none_or(|seen| seen.silent_for >= KILLED_AFTER), taken(id));
    }
    let entered = store.enter(said, before.map(|seen| seen.started_at), clock).await?;
    entered.ok_or_else(|| anyhow!(taken(id)))
}

/// What was said last by the server with that name.
async fn named(store: &PostgresStore, id: &str) -> Result<Option<SeenNode>, StoreError> {
    Ok(store.nodes().await?.into_iter().find(|seen| seen.node.id == id))
}

fn taken(id: &str) -> String {
    format!(
        "another server of this database is called {id} too: give each a cluster.node_id of its own, or leave it \
         out"
    )
}

/// Whether the server ran a moment ago.
pub(crate) fn is_running(node: &SeenNode) -> bool {
    node.silent_for <= SILENT_AFTER
}

/// The servers that run on the database.
pub(crate) async fn running(store: &PostgresStore) -> Result<Vec<SeenNode>, StoreError> {
    let mut nodes = store.nodes().await?;
    nodes.retain(is_running);
    Ok(nodes)
}

/// Refuses while servers run on the database.
pub(crate) async fn refuse_while_running(store: &PostgresStore) -> anyhow::Result<()> {
    let mut running = running(store).await?;
    if running.is_empty() && !store.nodes().await?.is_empty() {
        // One that could not reach the database until now says so soon.
        output::remark("waiting whether a server that was silent still runs");
        sleep(BEAT_EVERY + Duration::from_secs(2)).await;
        running = self::running(store).await?;
    }
    let names: Vec<_> = running.iter().map(|seen| seen.node.id.as_str()).collect();
    ensure!(
        running.is_empty(),
        "stop the servers first: {}. One that was killed counts for {} seconds more",
        names.join(", "),
        SILENT_AFTER.as_secs()
    );
    Ok(())
}

/// The configured name, or that of the machine and something that no other server has.
fn id(settings: &Settings) -> anyhow::Result<String> {
    if let Some(id) = &settings.cluster.node_id {
        let length = id.chars().count();
        ensure!(
            (1..=MAX_ID).contains(&length) && !id.contains(char::is_control),
            "cluster.node_id has 1 to {MAX_ID} characters and is one line"
        );
        return Ok(id.clone());
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "server" } else { host };
    let [a, b, c, d] = random_bytes(&SystemRandom);
    Ok(format!("{host}-{a:02x}{b:02x}{c:02x}{d:02x}"))
}
