//! The audit trail, and the removal of rows that are no longer needed.

use std::time::Duration;

use async_trait::async_trait;
use countersign_authority::{
    audit::{Administrator, AuditEvent, AuditFilter, EventKind, RecordedEvent, Repeated},
    ports::{AuditStore, Retention, StoreError},
};
use countersign_protocol::{AccountId, UnixTime, digest::sha256, keys::Thumbprint};
use rusqlite::{Connection, Row, params_from_iter, types::Value};

mod retention;

use super::{
    SqliteStore,
    error::DbError,
    rows::{self, Columns, millis},
};

/// How many rows one transaction of [`AuditStore::prune`] removes, so that others get their turn.
const PRUNE_BATCH: u32 = 1000;

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write(move |connection| {
            Ok(events.iter().try_for_each(|event| record(connection, event))?)
        })
        .await
    }

    async fn events(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let (select, values) = select(filter, limit);
        self.read(move |connection| {
            Ok(rows::all(connection, &select, params_from_iter(&values), read)?)
        })
        .await
    }

    /// Removes a bounded number of rows at a time, so it is not one transaction but many: an error
    /// may leave some of the work done.
    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError> {
        let mut pruned = self.prune_assertions(now).await?;
        for (table, key, ended) in [
            ("revoked_tokens", "jti", "expires_at <= ?"),
            ("ended_tokens", "account_id", "expires_at <= ?"),
            ("invitations", "code_hash", "expires_at <= ?"),
        ] {
            pruned += self.prune_table(table, key, ended, millis(now)).await?;
        }
        let oldest = millis(now - retention.max_age);
        let logged = "CAST(strftime('%s', request_timestamp) AS INTEGER) * 1000 < ?";
        pruned += self.prune_table("auth_logs", "id", logged, oldest).await?;
        if let Some(last) = self.last_surplus("auth_logs", retention.max_events).await? {
            pruned += self.prune_table("auth_logs", "id", "id <= ?", last).await?;
        }
        if let Some(first) = self.first_younger(oldest).await? {
            pruned += self.prune_table("audit_events", "id", "id < ?", first).await?;
        }
        Ok(pruned + self.prune_surplus(retention).await?)
    }
}

impl SqliteStore {
    /// Removes the rows of `table` for which `condition` holds with `bound`.
    async fn prune_table(
        &self,
        table: &'static str,
        key: &'static str,
        condition: &'static str,
        bound: i64,
    ) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let delete = format!(
                "DELETE FROM {table} WHERE {key} IN
                 (SELECT {key} FROM {table} WHERE {condition} LIMIT {PRUNE_BATCH})"
            );
            let removed = self
                .write(move |c| Ok::<_, StoreError>(rows::execute(c, &delete, [bound])?))
                .await?;
            pruned += removed as u64;
            if removed < PRUNE_BATCH as usize {
                return Ok(pruned);
            }
        }
    }

    /// Removes used assertions that have expired, and records the latest expiry among them, so that
    /// a clock that is behind does not take one of them for a new one. There is no index by time,
    /// because every login would have to write it; instead this function, which runs far less
    /// often, reads the whole table once.
    async fn prune_assertions(&self, now: UnixTime) -> Result<u64, StoreError> {
        let (mut pruned, mut after) = (0, Vec::new());
        loop {
            let ended = self
                .read(move |connection| {
                    let select = "SELECT digest, forget_at FROM used_assertions
                        WHERE digest > ? AND forget_at <= ? ORDER BY digest LIMIT ?";
                    let values = (&after, millis(now), PRUNE_BATCH);
                    let ended = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?));
                    Ok::<_, StoreError>(rows::all(connection, select, values, ended)?)
                })
                .await?;
            let last_end: Option<i64> = ended.iter().map(|(_, forget_at)| *forget_at).max();
            let Some((last, _)) = ended.last().cloned() else { return Ok(pruned) };
            after = last;
            pruned += ended.len() as u64;
            let forget = "UPDATE forgotten SET assertions_until = max(assertions_until, ?)";
            let delete = "DELETE FROM used_assertions WHERE digest = ?";
            self.write(move |connection| {
                rows::execute(connection, forget, [last_end])?;
                ended.iter().try_for_each(|(digest, _)| {
                    rows::execute(connection, delete, [digest])?;
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        }
    }

    /// The number of the first audit event that is not older than `oldest`, or the number after the
    /// last event. `None` when there are no events. Events are numbered in the order of writing, so
    /// by age.
    async fn first_younger(&self, oldest: i64) -> Result<Option<i64>, StoreError> {
        let select = "SELECT coalesce(
            (SELECT id FROM audit_events WHERE at >= ? ORDER BY id LIMIT 1),
            (SELECT max(id) + 1 FROM audit_events))";
        self.read(move |connection| {
            let first = |row: &Row<'_>| Ok(row.get::<_, Option<i64>>(0)?);
            Ok(rows::first(connection, select, [oldest], first)?.flatten())
        })
        .await
    }

    /// The newest of the rows of `table` that exceed `max`, if any do.
    async fn last_surplus(&self, table: &'static str, max: u64) -> Result<Option<i64>, StoreError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.read(move |connection| {
            // A number is never used twice, so the span of numbers is at least the number of rows.
            let span =
                format!("SELECT (SELECT max(id) FROM {table}) - (SELECT min(id) FROM {table})");
            let span = rows::first(connection, &span, [], |row| Ok(row.get::<_, Option<i64>>(0)?))?;
            if span.flatten().is_none_or(|span| span < max) {
                return Ok(None);
            }
            let select = format!("SELECT id FROM {table} ORDER BY id DESC LIMIT 1 OFFSET ?");
            Ok(rows::first(connection, &select, [max], |row| Ok(row.get(0)?))?)
        })
        .await
    }
}

/// Appends one event, in the caller's transaction. A repeated event, such as a refusal like an
/// earlier one of the same hour, only increases the count of the earlier row.
pub(super) fn record(connection: &Connection, event: &AuditEvent) -> Result<(), DbError> {
    if let Some(period) = event.kind.budget().told_together_for() {
        return record_folded(connection, event, period);
    }
    let insert = "INSERT INTO audit_events(at, kind, account_id, thumbprint, address, detail)
        VALUES (?, ?, ?, ?, ?, ?)";
    let values = (
        millis(event.at),
        event.kind.name(),
        event.account_id.as_ref().map(AccountId::as_bytes),
        event.thumbprint.as_ref().map(Thumbprint::as_bytes),
        event.address.map(|address| address.to_string()),
        event.detail.as_deref(),
    );
    rows::execute(connection, insert, values)?;
    Ok(())
}

fn record_folded(
    connection: &Connection,
    event: &AuditEvent,
    period: Duration,
) -> Result<(), DbError> {
    let insert = "INSERT INTO
        audit_events(at, kind, account_id, thumbprint, address, detail, times, last_at, fold)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT(fold) WHERE fold IS NOT NULL DO UPDATE SET
        times = coalesce(times, 1) + coalesce(excluded.times, 1),
        last_at = max(coalesce(last_at, at), coalesce(excluded.last_at, excluded.at))";
    let values = (
        millis(event.at),
        event.kind.name(),
        event.account_id.as_ref().map(AccountId::as_bytes),
        event.thumbprint.as_ref().map(Thumbprint::as_bytes),
        event.address.map(|address| address.to_string()),
        event.detail.as_deref(),
        event.repeated.map(|repeated| i64::try_from(repeated.times).unwrap_or(i64::MAX)),
        event.repeated.map(|repeated| millis(repeated.last_at)),
        fold(event, period),
    );
    rows::execute(connection, insert, values)?;
    Ok(())
}

/// A text that is equal for all events that share one row. They may differ only in the moment
/// within the period and the address within the network.
fn fold(event: &AuditEvent, period: Duration) -> [u8; 32] {
    let AuditEvent { at, kind, account_id, detail, .. } = event;
    let thumbprint = event.known_key();
    let period = at.as_secs() / period.as_secs();
    let network = event.network().map(|network| network.to_string());
    // `Debug` delimits the parts, so different events never give the same text.
    let text = format!("{period} {kind:?} {account_id:?} {thumbprint:?} {network:?} {detail:?}");
    sha256(&[text.as_bytes()])
}

/// The query for `filter`, and its parameters.
fn select(filter: &AuditFilter, limit: u32) -> (String, Vec<Value>) {
    let time = |time| Value::from(millis(time));
    let before = |id| Value::from(i64::try_from(id).unwrap_or(i64::MAX));
    let conditions = [
        ("account_id = ?", filter.account_id.map(|id| Value::from(id.as_bytes().to_vec()))),
        ("thumbprint = ?", filter.thumbprint.map(|key| Value::from(key.as_bytes().to_vec()))),
        ("kind = ?", filter.kind.map(|kind| Value::from(kind.name().to_owned()))),
        ("at >= ?", filter.since.map(time)),
        ("at < ?", filter.until.map(time)),
        ("id < ?", filter.before.map(before)),
    ];
    // The name of a key is the one given by the account that the event is about.
    let mut select = "SELECT id, at, kind, account_id, thumbprint, address, detail, times, last_at,
        actor, reason,
        coalesce(
            (SELECT c.label FROM credentials c JOIN accounts a ON a.user_id = c.user_id
             WHERE c.thumbprint = e.thumbprint AND a.account_id = e.account_id),
            (SELECT c.label FROM claimed_keys c JOIN accounts a ON a.user_id = c.user_id
             WHERE c.thumbprint = e.thumbprint AND a.account_id = e.account_id))
        FROM audit_events e"
        .to_owned();
    let mut values = Vec::new();
    for (condition, value) in conditions {
        if let Some(value) = value {
            select += if values.is_empty() { " WHERE " } else { " AND " };
            select += condition;
            values.push(value);
        }
    }
    if filter.without_schedule {
        select += if values.is_empty() { " WHERE " } else { " AND " };
        let kinds = kinds(EventKind::OF_SCHEDULE.into_iter());
        for part in ["NOT (kind IN (", &kinds, ") AND actor IS NULL)"] {
            select += part;
        }
    }
    select += " ORDER BY id DESC LIMIT ?";
    values.push(Value::from(limit));
    (select, values)
}

fn read(row: &Row<'_>) -> Result<RecordedEvent, DbError> {
    let mut columns = Columns::new(row, "audit_events", 0);
    let id = columns.read("id", |id: i64| u64::try_from(id))?;
    let event = AuditEvent {
        at: columns.time("at")?,
        kind: columns.parse("kind")?,
        account_id: columns.optional_bytes("account_id")?.map(AccountId::from_bytes),
        thumbprint: columns.optional_bytes("thumbprint")?.map(Thumbprint::from_bytes),
        address: columns.parse_optional("address")?,
        detail: columns.plain("detail")?,
        repeated: repeated(&mut columns)?,
    };
    let actor: Option<String> = columns.plain("actor")?;
    let reason = columns.plain("reason")?;
    let by = actor.map(|name| Administrator { name, reason });
    Ok(RecordedEvent { id, event, label: columns.plain("label")?, by })
}

/// A list of kinds, as SQL.
fn kinds(kinds: impl Iterator<Item = EventKind>) -> String {
    kinds.map(|kind| format!("'{}'", kind.name())).collect::<Vec<_>>().join(", ")
}

fn repeated(columns: &mut Columns<'_>) -> Result<Option<Repeated>, DbError> {
    let times = columns.read("times", |times: Option<i64>| times.map(u64::try_from).transpose())?;
    let last_at = columns.optional_time("last_at")?;
    Ok(times.zip(last_at).map(|(times, last_at)| Repeated { times, last_at }))
}
