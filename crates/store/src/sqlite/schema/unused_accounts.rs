//! Accounts of earlier versions that nobody has ever used.

use countersign_protocol::UnixTime;
use rusqlite::Connection;

/// Their time to be used begins now, so that nobody loses an account by the upgrade itself.
/// Accounts with a fingerprint were invited.
pub(super) fn mark(connection: &Connection, now: UnixTime) -> rusqlite::Result<()> {
    let update = "UPDATE accounts SET unused_since = ?
        WHERE NOT EXISTS (SELECT 1 FROM users AS u
            WHERE u.id = accounts.user_id AND u.last_login IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM account_aliases AS n WHERE n.user_id = accounts.user_id)
        AND NOT EXISTS (SELECT 1 FROM credentials AS c WHERE c.user_id = accounts.user_id)
        AND NOT EXISTS
            (SELECT 1 FROM revoked_thumbprints AS r WHERE r.user_id = accounts.user_id)";
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    connection.execute(update, [now]).map(drop)
}
