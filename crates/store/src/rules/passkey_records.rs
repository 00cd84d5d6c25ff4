//! What is written down about passkeys: that there is one, and that one was used.

use crate::sql::Connection;
use countersign_authority::{
    model::passkey::{Passkey, PasskeyUse},
    ports::{NewPasskey, RecordLoginError, UsePasskeyError},
};
use countersign_protocol::{digest::sha256, proofs::webauthn::CredentialId};

use super::{
    error::DbError,
    rows::{self, millis, passkeys::transports_column},
};

/// Inserts a passkey whose key is there already. `false` when a passkey has its id.
pub(super) fn insert(connection: &Connection, new: &NewPasskey) -> Result<bool, DbError> {
    let Passkey { id, rp_id, user_handle, aaguid, .. } = &new.passkey;
    let thumbprint = new.credential.thumbprint();
    let insert = "INSERT INTO passkeys(id_hash, thumbprint, credential_id, rp_id, user_handle,
            sign_count, backup_eligible, backed_up, aaguid, transports, unvouched_since)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id_hash) DO NOTHING";
    let values = (
        id_hash(id),
        thumbprint.as_bytes(),
        id.as_bytes(),
        rp_id.as_str(),
        user_handle.as_bytes(),
        new.passkey.sign_count,
        new.passkey.backup_eligible,
        new.passkey.backed_up,
        aaguid.as_bytes(),
        transports_column(&new.passkey.transports),
        new.passkey.unvouched_since.map(millis),
    );
    Ok(rows::execute(connection, insert, values)? > 0)
}

/// By what a passkey is found: an id may have 1023 bytes, which would fill a page of the index.
pub(super) fn id_hash(id: &CredentialId) -> [u8; 32] {
    sha256(&[id.as_bytes()])
}

/// Writes down the counter and the backup state that a passkey has shown.
pub(super) fn note_use(
    connection: &Connection,
    PasskeyUse { thumbprint, sign_count, backed_up }: &PasskeyUse,
) -> Result<(), UsePasskeyError> {
    let select = "SELECT sign_count, backed_up FROM passkeys WHERE thumbprint = ?";
    let stored: (u32, bool) = rows::first(connection, select, [thumbprint.as_bytes()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?
    .ok_or(RecordLoginError::NotLive)?;
    let counts = *sign_count > 0 || stored.0 > 0;
    if counts && *sign_count <= stored.0 {
        return Err(UsePasskeyError::CounterRegressed);
    }
    if stored != (*sign_count, *backed_up) {
        let update = "UPDATE passkeys SET sign_count = ?, backed_up = ? WHERE thumbprint = ?";
        let values = (sign_count, backed_up, thumbprint.as_bytes());
        rows::execute(connection, update, values)?;
    }
    Ok(())
}
