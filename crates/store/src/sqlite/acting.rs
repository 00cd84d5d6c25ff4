//! Whose commands change the database.
//!
//! A command of an administrator may write audit events in many places of the code. The connection
//! makes sure that each event names the administrator, by a temporary trigger. A server has no such
//! trigger and pays nothing for it.

use countersign_authority::model::audit::Administrator;
use rusqlite::Connection;

/// From now on, events that `connection` writes name `administrator`.
pub(super) fn act_as(
    connection: &Connection,
    administrator: &Administrator,
) -> rusqlite::Result<()> {
    let Administrator { name, reason } = administrator;
    let quoted = |text: Option<&str>| -> rusqlite::Result<String> {
        connection.query_row("SELECT quote(?)", [text], |row| row.get(0))
    };
    let (actor, reason) = (quoted(Some(name))?, quoted(reason.as_deref())?);
    // Quoted by hand, because a trigger takes no parameters.
    connection.execute_batch(&format!(
        "CREATE TEMP TRIGGER acting AFTER INSERT ON main.audit_events BEGIN
         UPDATE audit_events SET actor = {actor}, reason = {reason} WHERE id = NEW.id;
         END"
    ))
}
