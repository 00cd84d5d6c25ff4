//! Passkeys from before they were found by the hash of their credential id.

use countersign_protocol::{UnixTime, digest::sha256};
use rusqlite::Connection;

/// Takes every passkey over into the new table, which then has the name of the old one.
pub(super) fn take_over(connection: &Connection, _now: UnixTime) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT rowid, credential_id FROM passkeys")?;
    let mut insert = connection.prepare(
        "INSERT INTO passkeys_by_hash(id_hash, thumbprint, credential_id, rp_id, user_handle, sign_count,
            backup_eligible, backed_up, aaguid, transports)
         SELECT ?, thumbprint, credential_id, rp_id, user_handle, sign_count, backup_eligible, backed_up,
            aaguid, transports FROM passkeys WHERE rowid = ?",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (row, id) = (row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?);
        insert.execute((sha256(&[&id]), row))?;
    }
    connection
        .execute_batch("DROP TABLE passkeys; ALTER TABLE passkeys_by_hash RENAME TO passkeys;")
}
