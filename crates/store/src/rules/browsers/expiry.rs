//! Keys that ended by themselves.

use crate::sql::{Alone, Connection, Row};
use countersign_authority::model::audit::{AuditEvent, EventKind, Reason};
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use crate::rules::{
    audit,
    error::DbError,
    live_keys,
    rows::{self, Columns, millis},
};

/// A key that has expired.
struct Expired {
    user_id: i64,
    account_id: AccountId,
    thumbprint: Thumbprint,
    expires_at: UnixTime,
    is_visit: bool,
}

/// Revokes keys that expired at `ended` or earlier, those that expired first, and says so in the
/// trail.
pub(super) fn expire(
    connection: &Connection,
    ended: UnixTime,
    limit: u32,
    now: UnixTime,
) -> Result<Vec<Thumbprint>, DbError> {
    let select = "SELECT c.user_id, a.account_id, c.thumbprint, c.expires_at, c.renews = 0
        FROM credentials AS c JOIN accounts AS a ON a.user_id = c.user_id
        WHERE c.expires_at <= ? AND c.revoked_at IS NULL ORDER BY c.expires_at LIMIT ?";
    let find = || rows::all(connection, select, (millis(ended), limit), read);
    let mut locked: Vec<_> = find()?.into_iter().map(|key| key.account_id).collect();
    locked.sort_unstable();
    locked.dedup();
    for account in &locked {
        connection.alone_with(Alone::Account(*account))?;
    }
    // Its browser may have logged in meanwhile.
    let mut expired = find()?;
    expired.retain(|key| locked.binary_search(&key.account_id).is_ok());
    for key in &expired {
        live_keys::revoke(connection, key.user_id, &key.thumbprint, key.expires_at)?;
        audit::record(connection, &event(key, now))?;
        live_keys::shorten(connection, key.user_id)?;
    }
    Ok(expired.into_iter().map(|key| key.thumbprint).collect())
}

fn read(row: &Row<'_>) -> Result<Expired, DbError> {
    let account_id = Columns::new(row, "accounts", 1).bytes("account_id")?;
    let mut columns = Columns::new(row, "credentials", 2);
    Ok(Expired {
        user_id: row.get(0)?,
        account_id: AccountId::from_bytes(account_id),
        thumbprint: Thumbprint::from_bytes(columns.bytes("thumbprint")?),
        expires_at: columns.time("expires_at")?,
        is_visit: columns.plain("renews")?,
    })
}

fn event(key: &Expired, now: UnixTime) -> AuditEvent {
    let (reason, words) = if key.is_visit {
        (Reason::VisitOver, "the visit is over")
    } else {
        (Reason::LongUnused, "it has not logged in for long")
    };
    let event = AuditEvent::new(now, EventKind::KeyExpired).account(key.account_id);
    event.key(key.thumbprint).because(reason).detail(words)
}
