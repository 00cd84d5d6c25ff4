//! Usernames from before they were refused for looking like an identifier of another kind.

use countersign_protocol::{
    UnixTime,
    names::{InvalidUsername, Username},
};
use rusqlite::{Connection, OptionalExtension as _};

/// Gives each account whose name could be mistaken for an identifier a name that cannot, and says
/// so in the audit trail and in the log.
///
/// The old name goes out of use: one text must not be the name of two accounts.
pub(super) fn rename(connection: &Connection, now: UnixTime) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT id, username FROM users ORDER BY id")?;
    let mut renamed = 0_u64;
    let mut rows = select.query([])?;
    let mut mistakable = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        if name.parse::<Username>() == Err(InvalidUsername::LooksLikeId) {
            mistakable.push((row.get::<_, i64>(0)?, name));
        }
    }
    for (user_id, old) in mistakable {
        let new = free_name(connection, user_id)?;
        connection.execute("UPDATE users SET username = ? WHERE id = ?", (&new, user_id))?;
        let update = "UPDATE accounts SET username_folded = ? WHERE user_id = ?";
        connection.execute(update, (&new, user_id))?;
        let insert = "INSERT INTO audit_events(at, kind, account_id, detail)
            SELECT ?, 'account.renamed', account_id, ? FROM accounts WHERE user_id = ?";
        let at = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let detail = format!("{old} is {new} now: the old name looks like an identifier");
        connection.execute(insert, (at, detail, user_id))?;
        renamed += 1;
    }
    if renamed > 0 {
        tracing::warn!(
            renamed,
            "usernames that look like account ids, fingerprints or thumbprints were changed: \
             `countersign admin audit --event account.renamed` says which"
        );
    }
    Ok(())
}

/// A name that nobody has. The obvious choice may have been taken by somebody who foresaw it.
fn free_name(connection: &Connection, user_id: i64) -> rusqlite::Result<String> {
    let mut name = format!("renamed-{user_id}");
    for next in 2_u64.. {
        let taken = "SELECT 1 FROM accounts WHERE username_folded = ?";
        if connection.query_row(taken, [&name], |_| Ok(())).optional()?.is_none() {
            break;
        }
        name = format!("renamed-{user_id}-{next}");
    }
    Ok(name)
}
