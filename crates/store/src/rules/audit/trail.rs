//! The trail of one account, in pages. The rows are visited one by one, newest first and without sorting, so
//! that a page costs no more than the rows that may be looked at for it.

use std::ops::ControlFlow;

use crate::sql::{Cell, Connection, Row};
use countersign_authority::model::{
    audit::EventKind,
    trail::{OlderEvents, TrailPage, TrailQuery},
};
use countersign_protocol::UnixTime;

use super::recorded::{SELECT, read};
use crate::rules::{
    error::DbError,
    rows::{self, Columns},
};

/// The page that answers `query`.
pub(super) fn page(connection: &Connection, query: &TrailQuery) -> Result<TrailPage, DbError> {
    let (ids, older) = look_through(connection, query)?;
    let select = format!("{SELECT} WHERE id = ?");
    let mut events = Vec::with_capacity(ids.len());
    for id in ids {
        // Housekeeping may have removed it meanwhile.
        events.extend(rows::first(connection, &select, [id], read)?);
    }
    Ok(TrailPage { events, older })
}

/// The numbers of the events that fit, and where older events begin that were not looked at.
fn look_through(
    connection: &Connection,
    query: &TrailQuery,
) -> Result<(Vec<i64>, Option<OlderEvents>), DbError> {
    let before = query.before.and_then(|id| i64::try_from(id).ok()).unwrap_or(i64::MAX);
    let values = (query.account_id.as_bytes(), before, query.look_at.saturating_add(1));
    let (mut fitting, mut looked_at, mut last, mut is_all) = (Vec::new(), 0, None, true);
    rows::each(connection, &source(&query.kinds), values, |row| {
        if looked_at >= query.look_at || fitting.len() >= query.limit as usize {
            is_all = false;
            return Ok(ControlFlow::Break(()));
        }
        let mut columns = Columns::new(row, "audit_events", 0);
        let (id, at) = (columns.plain::<i64>("id")?, columns.time("at")?);
        looked_at += 1;
        last = Some(OlderEvents { before: id.unsigned_abs(), at });
        if fits(row, at, query)? {
            fitting.push(id);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((fitting, last.filter(|_| !is_all)))
}

/// The rows that are looked at for events of `kinds`: account, number before which they are, and how many. Of kinds
/// without logins, each has its own part of an index, and SQLite merges the parts.
fn source(kinds: &[EventKind]) -> String {
    const VISITED: &str = "SELECT id, at, kind, thumbprint FROM audit_events";
    const OF_ACCOUNT: &str = "WHERE account_id = ?1 AND id < ?2";
    let parts = if kinds.is_empty() || kinds.contains(&EventKind::LoginSucceeded) {
        format!("{VISITED} INDEXED BY audit_events_by_account {OF_ACCOUNT}")
    } else {
        let part = |kind: &EventKind| {
            // The second condition is that of the index.
            format!(
                "{VISITED} INDEXED BY audit_events_by_kind {OF_ACCOUNT}
                 AND kind = '{}' AND kind <> 'login.succeeded'",
                kind.name()
            )
        };
        // Each kind once, in one order.
        let asked = EventKind::ALL.iter().filter(|kind| kinds.contains(kind));
        asked.map(part).collect::<Vec<_>>().join(" UNION ALL ")
    };
    format!("{parts} ORDER BY id DESC LIMIT ?3")
}

/// Whether the event that happened at `at` fits. Thousands are looked at for one page, so nothing is parsed or
/// copied.
fn fits(row: &Row<'_>, at: UnixTime, query: &TrailQuery) -> Result<bool, DbError> {
    let TrailQuery { key, kinds, since, .. } = query;
    if since.is_some_and(|since| at < since) {
        return Ok(false);
    }
    if kinds.contains(&EventKind::LoginSucceeded) {
        let kind = row.cell(2)?;
        if !kinds.iter().any(|asked| kind == Cell::Text(asked.name().into())) {
            return Ok(false);
        }
    }
    match key {
        Some(key) => Ok(row.cell(3)? == Cell::Bytes(key.as_bytes().as_slice().into())),
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::empty_database;

    /// SQLite's plan for the rows that are looked at for events of `kinds`.
    fn plan(kinds: &[EventKind]) -> String {
        let connection = empty_database();
        let explain = format!("EXPLAIN QUERY PLAN {}", source(kinds));
        let mut statement = connection.prepare(&explain).unwrap();
        let steps = statement.query_map((&[7_u8; 16], i64::MAX, 1), |row| row.get::<_, String>(3));
        steps.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    }

    #[test]
    fn rows_are_visited_in_their_order_so_none_is_visited_that_is_not_looked_at() {
        use EventKind::{KeyAdded, LoginSucceeded, TokenRevoked};
        let without_logins = |kind: &EventKind| *kind != LoginSucceeded;
        let most: Vec<_> = EventKind::ALL.iter().copied().filter(without_logins).collect();
        for kinds in [
            &[][..],
            &[LoginSucceeded, KeyAdded],
            &[TokenRevoked],
            &[TokenRevoked, KeyAdded],
            &most,
        ] {
            let plan = plan(kinds);
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
            assert!(!plan.contains("SCAN"), "{plan}");
            assert!(plan.contains("SEARCH"), "{plan}");
        }
    }

    #[test]
    fn a_kind_that_is_named_twice_is_read_once() {
        let kinds = [EventKind::KeyAdded, EventKind::TokenRevoked, EventKind::KeyAdded];
        assert_eq!(source(&kinds), source(&kinds[..2]));
    }
}
