//! The servers that work on one database, as they say of themselves.
//!
//! Their moments are by the clock of the database, because those of the servers may differ.

use std::{sync::Arc, time::Duration};

use countersign_authority::ports::StoreError;
use countersign_protocol::{UnixTime, ports::Clock};

use super::{engine::PostgresStore, report};
use crate::{
    engine::Engine as _,
    rows::{self, Columns},
    sql::Row,
};

/// The present moment by the clock of the database, in milliseconds.
const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
/// For how long a server is remembered that is silent, in milliseconds.
const REMEMBERED: i64 = 86_400_000;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, which no other server on the database has.
    pub id: String,
    /// The version of its program.
    pub version: String,
    /// Its issuer identifier.
    pub issuer: String,
    /// Where it keeps used proofs, as `cluster.state` names it.
    pub state: String,
    /// A digest of the settings that all servers should share.
    pub settings: [u8; 32],
    /// How far its clock is ahead of that of the database, in milliseconds. `None` before it could compare
    /// them.
    pub clock_ahead_millis: Option<i64>,
    /// How long ago it heard what others changed, in milliseconds.
    pub news_age: Duration,
}

/// A server that has said something within a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenNode {
    /// What it said last.
    pub node: Node,
    /// When it started, by the clock of the database.
    pub started_at: UnixTime,
    /// How long ago it said something.
    pub silent_for: Duration,
}

impl PostgresStore {
    /// Takes the name of a server that starts. `replaced` is when the one started that had the name before and
    /// runs no more. Returns when this one started, by which it is told from others of its name; `None`, and
    /// nothing is kept, if another server has the name. From now on what the database tells is news for a while
    /// after each heartbeat that was kept, by `clock`.
    ///
    /// # Errors
    /// As [`Self::beat`].
    pub async fn enter(
        &self,
        node: &Node,
        replaced: Option<UnixTime>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<UnixTime>, StoreError> {
        self.beats.begin(clock);
        let sql = upsert(
            NOW,
            "started_at = greatest(excluded.started_at, n.started_at + 1)",
            "n.started_at = ?",
        );
        self.say(node, sql, replaced).await
    }

    /// Keeps what a server says of itself that started at `started_at`, and forgets those that have been silent
    /// for a day. Returns whether it still has its name: `false`, and nothing is kept, once another has entered
    /// under it. First it asks all servers of the URL whether one has replaced the one that is used, which
    /// takes two and a half seconds where one does not answer. Looks too whether the database server may lose what it
    /// acknowledges. While it may, every other change is refused.
    ///
    /// # Errors
    /// When the store fails, or the URL has a server that was promoted and lacks what another has.
    pub async fn beat(&self, node: &Node, started_at: UnixTime) -> Result<bool, StoreError> {
        // An earlier one is there where a failover has lost that this server entered.
        let started = "started_at = excluded.started_at";
        let sql = upsert("?", started, "n.started_at <= excluded.started_at");
        Ok(self.say(node, sql, Some(started_at)).await?.is_some())
    }

    /// Writes what a server says of itself. Returns when it started, unless another has its name.
    async fn say(
        &self,
        node: &Node,
        upsert: String,
        started_at: Option<UnixTime>,
    ) -> Result<Option<UnixTime>, StoreError> {
        let said = node.clone();
        let forget = format!("DELETE FROM nodes WHERE seen_at < {NOW} - {REMEMBERED}");
        let beat = self.write_what_may_be_lost([], move |connection| {
            let Node { id, version, issuer, state, settings, clock_ahead_millis, news_age } = &said;
            let news_age = i64::try_from(news_age.as_millis()).unwrap_or(i64::MAX);
            let (ahead, started_at) = (*clock_ahead_millis, started_at.map(rows::millis));
            let values = (id, version, issuer, state, settings, ahead, news_age, started_at);
            let kept = |row: &Row<'_>| {
                let mut columns = Columns::new(row, "nodes", 0);
                Ok((columns.time("started_at")?, columns.plain::<i64>("beat")?))
            };
            let entered = rows::first(connection, &upsert, values, kept)?;
            rows::execute(connection, &forget, ())?;
            Ok::<_, StoreError>((entered, report::may_lose(connection)?))
        });
        let beat = async {
            let looked = self.connector.look_around().await;
            looked.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            beat.await
        };
        let (entered, may_lose) = self.beats.of(beat).await?;
        self.losses.note(may_lose);
        if let Some((_, beats)) = entered
            && !self.losses.are_accepted()
        {
            self.connector.note_beat(&node.id, beats);
        }
        Ok(entered.map(|(started_at, _)| started_at))
    }

    /// Forgets the server that started at `started_at`, which stops.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_node(&self, id: &str, started_at: UnixTime) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write_what_may_be_lost([], move |connection| {
            let delete = "DELETE FROM nodes WHERE node_id = ? AND started_at = ?";
            rows::execute(connection, delete, (&id, rows::millis(started_at)))?;
            Ok(())
        })
        .await
    }

    /// All servers that have said something within a day, by their names.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn nodes(&self) -> Result<Vec<SeenNode>, StoreError> {
        let select = format!(
            "SELECT node_id, version, issuer, state, settings, clock_ahead, news_age, started_at,
                greatest({NOW} - seen_at, 0) FROM nodes ORDER BY node_id"
        );
        self.read_own(move |connection| Ok(rows::all(connection, &select, (), seen)?)).await
    }

    /// The issuer that all servers of the database have: the one that was kept, or else `origin`, which is kept
    /// now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_issuer(&self, origin: &str) -> Result<String, StoreError> {
        let origin = origin.to_owned();
        self.write([], move |connection| {
            // In two statements: the second sees what another server has kept meanwhile.
            let insert = "INSERT INTO issuer(id, origin) VALUES (1, ?) ON CONFLICT DO NOTHING";
            rows::execute(connection, insert, [&origin])?;
            let kept = rows::first(connection, "SELECT origin FROM issuer", (), |row| row.get(0))?;
            Ok(kept.unwrap_or_else(|| origin.clone()))
        })
        .await
    }

    /// The time by the clock of the database.
    pub(super) async fn time(&self) -> Result<UnixTime, StoreError> {
        let select = format!("SELECT {NOW}");
        let read = |row: &Row<'_>| Columns::new(row, "a query", 0).time("now");
        self.read_own(move |connection| {
            Ok(rows::first(connection, &select, (), read)?.unwrap_or_default())
        })
        .await
    }
}

/// The statement by which a server says something of itself: of a new one, when it started; of one that is there,
/// what `change` says of that, if `condition` holds. The last parameter is for one of them.
fn upsert(started_at: &str, change: &str, condition: &str) -> String {
    format!(
        "INSERT INTO nodes AS n
            (node_id, version, issuer, state, settings, clock_ahead, news_age, started_at, seen_at,
                beat)
        VALUES (?, ?, ?, ?, ?, ?, ?, {started_at}, {NOW}, nextval('heartbeats'))
        ON CONFLICT(node_id) DO UPDATE SET version = excluded.version, issuer = excluded.issuer,
            state = excluded.state, settings = excluded.settings, clock_ahead = excluded.clock_ahead,
            news_age = excluded.news_age, seen_at = excluded.seen_at,
            beat = excluded.beat, {change}
        WHERE {condition} RETURNING started_at, beat"
    )
}

fn seen(row: &Row<'_>) -> Result<SeenNode, crate::error::DbError> {
    let mut columns = Columns::new(row, "nodes", 0);
    let node = Node {
        id: columns.plain("node_id")?,
        version: columns.plain("version")?,
        issuer: columns.plain("issuer")?,
        state: columns.plain("state")?,
        settings: columns.bytes("settings")?,
        clock_ahead_millis: columns.plain("clock_ahead")?,
        news_age: columns.read("news_age", millis)?,
    };
    let started_at = columns.time("started_at")?;
    Ok(SeenNode { node, started_at, silent_for: columns.read("seen_at", millis)? })
}

fn millis(number: i64) -> Result<Duration, &'static str> {
    u64::try_from(number).map(Duration::from_millis).map_err(|_| "less than nothing")
}
