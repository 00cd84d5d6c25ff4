//! Earlier contents of online keyrings.

use crate::sql::{Connection, Row};
use countersign_authority::model::{
    keyring::{KeptRevision, KeyringContent, Revision},
    keyring_history::{Earlier, Room},
};
use countersign_protocol::UnixTime;

use super::{
    error::DbError,
    keyring_rows::number,
    rows::{
        self, Columns,
        keyrings::{content, revision},
        millis,
    },
};

/// All that are kept, newest first.
pub(super) fn list(connection: &Connection, user_id: i64) -> Result<Vec<KeptRevision>, DbError> {
    let select = "SELECT revision, updated_at, replaced_at, length(ciphertext)
        FROM keyring_revisions WHERE user_id = ? ORDER BY revision DESC";
    rows::all(connection, select, [user_id], |row| {
        let Earlier { revision, updated_at, replaced_at, bytes: size } = earlier(row)?;
        Ok(KeptRevision { revision, updated_at, replaced_at, size })
    })
}

/// The content of one.
pub(super) fn find(
    connection: &Connection,
    user_id: i64,
    revision: Revision,
) -> Result<Option<KeyringContent>, DbError> {
    let select =
        "SELECT nonce, ciphertext FROM keyring_revisions WHERE user_id = ? AND revision = ?";
    rows::first(connection, select, (user_id, number(revision)), |row| {
        content(&mut Columns::new(row, "keyring_revisions", 0))
    })
}

/// The newest with the nonce of `content`.
pub(super) fn with_nonce_of(
    connection: &Connection,
    user_id: i64,
    content: &KeyringContent,
) -> Result<Option<Revision>, DbError> {
    let select = "SELECT revision FROM keyring_revisions WHERE user_id = ? AND nonce = ?
        ORDER BY revision DESC LIMIT 1";
    rows::first(connection, select, (user_id, content.nonce), |row| {
        Columns::new(row, "keyring_revisions", 0).read("revision", revision)
    })
}

/// Keeps the present content of an account's keyring, which is replaced at `now`, as an earlier one.
/// Returns `false` and changes nothing if there is no room for it.
pub(super) fn keep(
    connection: &Connection,
    user_id: i64,
    room: Room,
    now: UnixTime,
) -> Result<bool, DbError> {
    let Some(surplus) = surplus(connection, user_id, room, now)? else { return Ok(false) };
    let keep = "INSERT INTO keyring_revisions(
            user_id, revision, nonce, ciphertext, updated_at, replaced_at, registered_day)
        SELECT user_id, revision, nonce, ciphertext, updated_at, ?2, registered_day
        FROM keyrings WHERE user_id = ?1";
    rows::execute(connection, keep, (user_id, millis(now)))?;
    for gone in surplus {
        remove(connection, user_id, gone)?;
    }
    Ok(true)
}

/// Which must go if the present content is kept, which may be one of them. `None` if there is no room for
/// it.
pub(super) fn surplus(
    connection: &Connection,
    user_id: i64,
    room: Room,
    now: UnixTime,
) -> Result<Option<Vec<Revision>>, DbError> {
    let select = "SELECT revision, updated_at, replaced_at, length(ciphertext)
        FROM keyring_revisions WHERE user_id = ?1
        UNION ALL SELECT revision, updated_at, ?2, length(ciphertext)
        FROM keyrings WHERE user_id = ?1 ORDER BY revision";
    Ok(room.surplus(rows::all(connection, select, (user_id, millis(now)), earlier)?))
}

/// Forgets one.
pub(super) fn remove(
    connection: &Connection,
    user_id: i64,
    revision: Revision,
) -> Result<(), DbError> {
    let remove = "DELETE FROM keyring_revisions WHERE user_id = ? AND revision = ?";
    rows::execute(connection, remove, (user_id, number(revision))).map(drop)
}

/// Forgets all of them.
pub(super) fn forget(connection: &Connection, user_id: i64) -> Result<(), DbError> {
    let forget = "DELETE FROM keyring_revisions WHERE user_id = ?";
    rows::execute(connection, forget, [user_id]).map(drop)
}

/// Reads `revision, updated_at, replaced_at, length(ciphertext)`.
fn earlier(row: &Row<'_>) -> Result<Earlier, DbError> {
    let mut columns = Columns::new(row, "keyring_revisions", 0);
    Ok(Earlier {
        revision: columns.read("revision", revision)?,
        updated_at: columns.time("updated_at")?,
        replaced_at: columns.time("replaced_at")?,
        bytes: columns.read("ciphertext", |length: i64| u64::try_from(length))?,
    })
}
