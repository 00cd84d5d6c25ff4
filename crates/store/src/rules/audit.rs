//! The audit trail, and the removal of rows that are no longer needed.

use std::time::Duration;

use crate::sql::{Alone, Connection, Value};
use async_trait::async_trait;
use countersign_authority::{
    model::{
        audit::{AuditEvent, AuditFilter, EventKind, RecordedEvent},
        trail::{TrailPage, TrailQuery},
    },
    ports::{AuditStore, StoreError},
};
use countersign_protocol::{AccountId, digest::sha256, keys::Thumbprint};

mod recorded;
mod retention;
mod trail;

use self::recorded::{SELECT, read};
use super::{
    Engine, Stored,
    error::DbError,
    rows::{self, millis},
};

#[async_trait]
impl<E: Engine> AuditStore for Stored<E> {
    async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write([Alone::Trail], move |connection| {
            Ok(events.iter().try_for_each(|event| record(connection, event))?)
        })
        .await
    }

    async fn trail_page(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        let query = query.clone();
        self.read_trail(move |connection| Ok(trail::page(connection, &query)?)).await
    }

    async fn events(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let (select, values) = select(filter, limit);
        self.read_trail(move |connection| {
            Ok(rows::all(connection, &select, values.as_slice(), read)?)
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
    let insert =
        "INSERT INTO audit_events(at, kind, account_id, thumbprint, address, detail, facts)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = (
        millis(event.at),
        event.kind.name(),
        event.account_id.as_ref().map(AccountId::as_bytes),
        event.thumbprint.as_ref().map(Thumbprint::as_bytes),
        event.address.map(|address| address.to_string()),
        event.detail.as_deref(),
        facts(event),
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
        audit_events(at, kind, account_id, thumbprint, address, detail, facts, times, last_at, fold)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT(fold) WHERE fold IS NOT NULL DO UPDATE SET
        times = coalesce(audit_events.times, 1) + coalesce(excluded.times, 1),
        last_at = CASE WHEN coalesce(excluded.last_at, excluded.at)
                > coalesce(audit_events.last_at, audit_events.at)
            THEN coalesce(excluded.last_at, excluded.at)
            ELSE coalesce(audit_events.last_at, audit_events.at) END";
    let values = (
        millis(event.at),
        event.kind.name(),
        event.account_id.as_ref().map(AccountId::as_bytes),
        event.thumbprint.as_ref().map(Thumbprint::as_bytes),
        event.address.map(|address| address.to_string()),
        event.detail.as_deref(),
        facts(event),
        event.repeated.map(|repeated| i64::try_from(repeated.times).unwrap_or(i64::MAX)),
        event.repeated.map(|repeated| millis(repeated.last_at)),
        fold(event, period),
    );
    rows::execute(connection, insert, values)?;
    Ok(())
}

/// Null for an event without facts, as most logins are.
pub(crate) fn facts(event: &AuditEvent) -> Option<String> {
    (!event.facts.is_empty()).then(|| event.facts.to_string())
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
        ("account_id = ?", filter.account_id.map(|id| Value::from(id.as_bytes().as_slice()))),
        ("thumbprint = ?", filter.thumbprint.map(|key| Value::from(key.as_bytes().as_slice()))),
        ("at >= ?", filter.since.map(time)),
        ("at < ?", filter.until.map(time)),
        ("id < ?", filter.before.map(before)),
    ];
    let (mut select, mut values) = (format!("{SELECT} WHERE true"), Vec::new());
    for (condition, value) in conditions {
        if let Some(value) = value {
            select += " AND ";
            select += condition;
            values.push(value);
        }
    }
    if !filter.kinds.is_empty() {
        for part in [" AND kind IN (", &kinds(filter.kinds.iter().copied()), ")"] {
            select += part;
        }
        if !filter.kinds.contains(&EventKind::LoginSucceeded) {
            // The condition of the index by kinds, which logins are not in.
            select += " AND kind <> 'login.succeeded'";
        }
    }
    if filter.without_schedule {
        select += " AND ";
        let kinds = kinds(EventKind::OF_SCHEDULE.into_iter());
        for part in ["NOT (kind IN (", &kinds, ") AND actor IS NULL)"] {
            select += part;
        }
    }
    select += " ORDER BY id DESC LIMIT ?";
    values.push(Value::from(limit));
    (select, values)
}

/// A list of kinds, as SQL.
fn kinds(kinds: impl Iterator<Item = EventKind>) -> String {
    kinds.map(|kind| format!("'{}'", kind.name())).collect::<Vec<_>>().join(", ")
}
