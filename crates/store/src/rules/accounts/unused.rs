//! Accounts that were made without an invitation and have never been used.

use crate::sql::{Alone, Connection, Row};
use countersign_authority::model::{
    account::AccountStatus,
    audit::{AuditEvent, EventKind},
};
use countersign_protocol::{AccountId, UnixTime};

use crate::rules::{
    audit,
    error::DbError,
    rows::{self, Columns, millis},
};

/// The condition on `accounts AS a` that an account is of some use: it has logged in, it has or had a
/// key that was proven, or an administrator has dealt with it.
const IS_USED: &str = "a.status <> ?
    OR EXISTS (SELECT 1 FROM users AS u WHERE u.id = a.user_id AND u.last_login IS NOT NULL)
    OR EXISTS (SELECT 1 FROM credentials AS c WHERE c.user_id = a.user_id)
    OR EXISTS (SELECT 1 FROM revoked_thumbprints AS r WHERE r.user_id = a.user_id)";

/// An account that waits to be used.
struct Waiting {
    user_id: i64,
    id: AccountId,
    is_used: bool,
}

impl Waiting {
    fn read(row: &Row<'_>) -> Result<Self, DbError> {
        let id = Columns::new(row, "accounts", 1).bytes("account_id")?;
        Ok(Self { user_id: row.get(0)?, id: AccountId::from_bytes(id), is_used: row.get(2)? })
    }
}

/// Notes that the account waits to be used from `now` on.
pub(in crate::rules) fn mark(
    connection: &Connection,
    id: AccountId,
    now: UnixTime,
) -> Result<(), DbError> {
    let update = "UPDATE accounts SET unused_since = ? WHERE account_id = ?";
    rows::execute(connection, update, (millis(now), id.as_bytes())).map(drop)
}

/// Looks at up to `limit` accounts that nobody has used since `before`, and removes them. Returns
/// how many it removed, and whether there may be more.
pub(super) fn expire(
    connection: &Connection,
    before: UnixTime,
    limit: u32,
    now: UnixTime,
) -> Result<(u64, bool), DbError> {
    let select = format!(
        "SELECT a.user_id, a.account_id, {IS_USED} FROM accounts AS a WHERE a.unused_since <= ?
         ORDER BY a.unused_since LIMIT ?"
    );
    let values = (AccountStatus::Active.name(), millis(before), limit);
    let find = || rows::all(connection, &select, values, Waiting::read);
    let mut locked: Vec<_> = find()?.into_iter().map(|account| account.id).collect();
    locked.sort_unstable();
    for account in &locked {
        connection.alone_with(Alone::Account(*account))?;
    }
    // One of them may have been used meanwhile.
    let mut found = find()?;
    let may_be_more = found.len() == limit as usize;
    found.retain(|account| locked.binary_search(&account.id).is_ok());
    let mut removed = 0;
    for Waiting { user_id, is_used, .. } in found {
        if is_used {
            let update = "UPDATE accounts SET unused_since = NULL WHERE user_id = ?";
            rows::execute(connection, update, [user_id])?;
        } else {
            remove(connection, user_id)?;
            removed += 1;
        }
    }
    if removed > 0 {
        let event = AuditEvent::new(now, EventKind::AccountsExpired);
        let noun = if removed == 1 { "account that was" } else { "accounts that were" };
        audit::record(connection, &event.detail(format!("{removed} {noun} never used")))?;
    }
    Ok((removed, may_be_more))
}

fn remove(connection: &Connection, user_id: i64) -> Result<(), DbError> {
    for delete in [
        "DELETE FROM account_aliases WHERE user_id = ?",
        "DELETE FROM server_keys WHERE user_id = ?",
        "DELETE FROM claimed_keys WHERE user_id = ?",
        "DELETE FROM further_emails WHERE user_id = ?",
        "DELETE FROM accounts WHERE user_id = ?",
        "DELETE FROM users WHERE id = ?",
    ] {
        rows::execute(connection, delete, [user_id])?;
    }
    Ok(())
}
