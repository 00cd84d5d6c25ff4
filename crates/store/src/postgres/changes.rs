//! What others changed, as the table `changes` tells it.
//!
//! A cursor stands for a snapshot: which transactions a reader has seen. The next look finds the changes
//! whose transactions were not among them, however late those committed. A time or a number could not say
//! that: transactions do not commit in the order in which they take either.
//!
//! A crash of the database server gives numbers of transactions again that it had given before and not kept. So
//! a snapshot counts within one epoch, whose name is in an unlogged table, which a crash empties.

use std::collections::VecDeque;

use countersign_authority::ports::{
    ChangeCursor, Changed, ChangedKey, Changes, ChangesSince, RevokedBefore, RevokedToken,
};
use countersign_protocol::{AccountId, keys::Thumbprint};
use parking_lot::Mutex;

use crate::{
    error::DbError,
    rows::{self, Columns},
    sql::{Connection, Row},
};

/// How many changes are told one by one.
const MOST: usize = 4096;
/// How many cursors a handle remembers. Whoever asks has the last one or the one before.
const CURSORS: usize = 64;
/// How long a transaction may last at most, by far, in microseconds.
const LONGEST_TRANSACTION: i64 = 60_000_000;
/// For how long changes are kept, in microseconds.
const KEPT: i64 = 3_600_000_000;
/// How many changes are forgotten in one transaction.
const BATCH: usize = 1000;

/// Up to where somebody has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Which history of which database: another one may lack what this one had.
    lineage: String,
    /// Whether the time since the last crash has a name, which is part of the lineage.
    is_named: bool,
    /// Which transactions were visible.
    snapshot: String,
    /// When, in microseconds by the clock of the database.
    at: i64,
}

/// The positions that the cursors of a handle stand for.
#[derive(Default)]
pub(super) struct Cursors(Mutex<VecDeque<(ChangeCursor, Position)>>);

impl Cursors {
    /// What `cursor` stands for, unless it is too old.
    pub(super) fn position(&self, cursor: ChangeCursor) -> Option<Position> {
        let known = self.0.lock();
        known.iter().find(|(known, _)| *known == cursor).map(|(_, position)| position.clone())
    }

    /// A cursor for `position`.
    fn note(&self, position: Position) -> ChangeCursor {
        let mut known = self.0.lock();
        let next = known.back().map_or(0, |(last, _)| last.number().wrapping_add(1));
        if known.len() >= CURSORS {
            known.pop_front();
        }
        known.push_back((ChangeCursor::new(next), position));
        ChangeCursor::new(next)
    }

    /// The answer to whoever asked with a cursor for `asked`.
    pub(super) fn answer(&self, asked: Option<&Position>, look: Look) -> ChangesSince {
        let Look { position, keeps_all, told } = look;
        let follows = |asked: &Position| position.is_named && asked.lineage == position.lineage;
        let changes = match (asked, told) {
            (Some(asked), Some(changed)) if keeps_all && follows(asked) => Changes::These(changed),
            _ => Changes::Everything,
        };
        ChangesSince { changes, cursor: self.note(position) }
    }
}

/// What one look at the table found.
pub(super) struct Look {
    position: Position,
    /// Whether nothing was forgotten since the position that was asked with.
    keeps_all: bool,
    /// What was changed since then. `None` if it is too much to tell.
    told: Option<Changed>,
}

impl Look {
    /// Whether [`begin_epoch`] must be called, and somebody look again.
    pub(super) const fn is_nameless(&self) -> bool {
        !self.position.is_named
    }
}

/// Names the time since the last crash, unless somebody else has.
pub(super) fn begin_epoch(connection: &Connection) -> Result<(), DbError> {
    let insert = "INSERT INTO crash_epoch(id, name) VALUES (1, uuid_send(gen_random_uuid()))
        ON CONFLICT DO NOTHING";
    rows::execute(connection, insert, ()).map(drop)
}

/// Looks for what has been changed since `asked`.
pub(super) fn look(connection: &Connection, asked: Option<&Position>) -> Result<Look, DbError> {
    // One statement, so all of it belongs to one snapshot. The upper bound holds for all that is visible, and
    // tells the planner that few rows are meant.
    let select = format!(
        "SELECT s.lineage, s.snapshot, s.at, s.keeps_all, s.is_named,
            c.kind, c.account_id, c.thumbprint, c.jti, c.issued_at, c.expires_at
        FROM (SELECT {LINEAGE} AS lineage, CAST(pg_current_snapshot() AS TEXT) AS snapshot,
                CAST(extract(epoch FROM now()) * 1000000 AS BIGINT) AS at,
                ?2 > (SELECT at FROM changes_forgotten) + {LONGEST_TRANSACTION} AS keeps_all,
                EXISTS (SELECT 1 FROM crash_epoch) AS is_named) AS s
        LEFT JOIN changes AS c ON c.xid >= pg_snapshot_xmin(CAST(?1 AS pg_snapshot))
            AND c.xid < pg_snapshot_xmax(pg_current_snapshot())
            AND NOT pg_visible_in_snapshot(c.xid, CAST(?1 AS pg_snapshot))
        LIMIT {MOST} + 1"
    );
    let values = (asked.map(|asked| asked.snapshot.as_str()), asked.map_or(0, |asked| asked.at));
    let found = rows::all(connection, &select, values, |row| Ok((head(row)?, change(row)?)))?;
    let missing = || DbError::Corrupt {
        table: "changes_forgotten",
        column: "at",
        reason: "there is none".to_owned(),
    };
    let ((position, keeps_all), _) = found.first().cloned().ok_or_else(missing)?;
    let told = (found.len() <= MOST).then(|| {
        found.into_iter().filter_map(|(_, change)| change).try_fold(Changed::default(), add)
    });
    Ok(Look { position, keeps_all, told: told.flatten() })
}

/// The cluster, its history since the last failover or restore, the database in it, and its time since the last
/// crash.
const LINEAGE: &str = "(SELECT system_identifier FROM pg_control_system())
    || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
    || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
    || '/' || coalesce((SELECT encode(name, 'hex') FROM crash_epoch), 'none')";

fn head(row: &Row<'_>) -> Result<(Position, bool), DbError> {
    let is_named = row.get(4)?;
    let (lineage, snapshot, at) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let position = Position { lineage, is_named, snapshot, at };
    Ok((position, row.get::<Option<bool>>(3)?.unwrap_or_default()))
}

/// One change.
#[derive(Clone)]
enum Change {
    Key(ChangedKey),
    Account(AccountId),
    Token(RevokedToken),
    Tokens(AccountId, RevokedBefore),
    SigningKeys,
    /// Something that this version does not know.
    Other,
}

fn change(row: &Row<'_>) -> Result<Option<Change>, DbError> {
    let Some(kind) = row.get::<Option<String>>(5)? else { return Ok(None) };
    let account = || Columns::new(row, "changes", 6).bytes("account_id").map(AccountId::from_bytes);
    let times = || {
        let mut columns = Columns::new(row, "changes", 9);
        let (issued_at, expires_at) = (columns.time("issued_at")?, columns.time("expires_at")?);
        Ok::<_, DbError>(RevokedBefore { issued_at, expires_at })
    };
    Ok(Some(match kind.as_str() {
        "key" => {
            let thumbprint = Columns::new(row, "changes", 7).bytes("thumbprint")?;
            let thumbprint = Thumbprint::from_bytes(thumbprint);
            Change::Key(ChangedKey { thumbprint, account_id: account()? })
        }
        "account" => Change::Account(account()?),
        "token" => {
            let RevokedBefore { issued_at, expires_at } = times()?;
            let token_id = Columns::new(row, "changes", 8).plain("jti")?;
            Change::Token(RevokedToken { token_id, account_id: account()?, issued_at, expires_at })
        }
        "tokens" => Change::Tokens(account()?, times()?),
        "signing-keys" => Change::SigningKeys,
        _ => Change::Other,
    }))
}

/// `None` if all may have changed.
fn add(mut changed: Changed, change: Change) -> Option<Changed> {
    match change {
        Change::Key(key) => changed.keys.push(key),
        Change::Account(account) => changed.accounts.push(account),
        Change::Token(token) => changed.tokens.tokens.push(token),
        Change::Tokens(account, before) => changed.tokens.accounts.push((account, before)),
        Change::SigningKeys => changed.signing_keys = true,
        Change::Other => return None,
    }
    Some(changed)
}

/// Forgets some of the changes that everybody has heard of who still listens. Returns whether there may be
/// more.
pub(super) fn forget(connection: &Connection) -> Result<bool, DbError> {
    let delete = format!(
        "DELETE FROM changes WHERE id IN (SELECT id FROM changes ORDER BY id LIMIT {BATCH})
            AND at < CAST(extract(epoch FROM now()) * 1000000 AS BIGINT) - {KEPT} RETURNING at"
    );
    let gone: Vec<i64> = rows::all(connection, &delete, (), |row| row.get(0))?;
    if let Some(last) = gone.iter().max() {
        let note = "UPDATE changes_forgotten SET at = greatest(at, ?)";
        rows::execute(connection, note, [*last])?;
    }
    Ok(gone.len() == BATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(lineage: &str, number: u32) -> Position {
        let snapshot = format!("{number}:{number}:");
        let is_named = !lineage.ends_with("none");
        Position { lineage: lineage.to_owned(), is_named, snapshot, at: number.into() }
    }

    fn look(lineage: &str, keeps_all: bool, told: Option<Changed>) -> Look {
        Look { position: position(lineage, 9), keeps_all, told }
    }

    #[test]
    fn only_who_followed_this_history_without_a_gap_is_told_singly() {
        let (cursors, asked) = (Cursors::default(), position("a/1/5", 8));
        let nameless = position("a/1/none", 8);
        let some = Changed { signing_keys: true, ..Changed::default() };
        let answer = |asked, look| cursors.answer(asked, look).changes;
        let told = answer(Some(&asked), look("a/1/5", true, Some(some.clone())));
        assert_eq!(told, Changes::These(some.clone()));
        for (asked, look) in [
            (None, look("a/1/5", true, Some(some.clone()))),
            // After a failover or a restore.
            (Some(&asked), look("a/2/5", true, Some(some.clone()))),
            (Some(&asked), look("b/1/5", true, Some(some.clone()))),
            (Some(&asked), look("a/1/5", false, Some(some))),
            (Some(&asked), look("a/1/5", true, None)),
            // After a crash, before somebody has named the time since then.
            (Some(&nameless), look("a/1/none", true, Some(Changed::default()))),
        ] {
            assert_eq!(answer(asked, look), Changes::Everything);
        }
    }

    #[test]
    fn a_cursor_that_is_too_old_stands_for_nothing() {
        let cursors = Cursors::default();
        let noted: Vec<_> = (0..100).map(|number| cursors.note(position("a", number))).collect();
        assert_eq!(cursors.position(noted[99]), Some(position("a", 99)));
        assert_eq!(cursors.position(noted[100 - CURSORS]), Some(position("a", 100 - 64)));
        assert_eq!(cursors.position(noted[99 - CURSORS]), None);
        assert_eq!(cursors.position(ChangeCursor::new(1000)), None);
    }
}
