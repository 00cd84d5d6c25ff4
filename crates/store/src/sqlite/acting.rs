//! Whose commands change the database.
//!
//! A command of an administrator may write events in many places. That each of them names its author is
//! therefore not left to these: the connection sees to it, by a trigger that exists for it alone. A
//! server has none, and pays nothing.

use countersign_authority::audit::Administrator;
use rusqlite::Connection;

/// From here on, events that are written by `connection` name `administrator`.
pub(super) fn act_as(
    connection: &Connection,
    administrator: &Administrator,
) -> rusqlite::Result<()> {
    let Administrator { name, reason } = administrator;
    let quoted = |text: Option<&str>| -> rusqlite::Result<String> {
        connection.query_row("SELECT quote(?)", [text], |row| row.get(0))
    };
    let (actor, reason) = (quoted(Some(name))?, quoted(reason.as_deref())?);
    // A trigger takes no parameters.
    connection.execute_batch(&format!(
        "CREATE TEMP TRIGGER acting AFTER INSERT ON main.audit_events BEGIN
         UPDATE audit_events SET actor = {actor}, reason = {reason} WHERE id = NEW.id;
         END"
    ))
}
