//! What is written down about passkeys: that there is one, and that one was used.

use countersign_authority::{
    model::passkey::{Passkey, PasskeyUse},
    ports::{NewPasskey, RecordLoginError, SpentStepUp, UsePasskeyError},
};
use countersign_protocol::{AccountId, UnixTime};
use rusqlite::Connection;

use super::{
    assertions::spend,
    error::DbError,
    rows::{self, millis, passkeys::transports_column},
};

/// Inserts a passkey whose key is there already. `false` when a passkey has its id.
pub(super) fn insert(connection: &Connection, new: &NewPasskey) -> Result<bool, DbError> {
    let Passkey { id, rp_id, user_handle, aaguid, .. } = &new.passkey;
    let thumbprint = new.credential.thumbprint();
    let insert = "INSERT INTO passkeys(credential_id, thumbprint, rp_id, user_handle, sign_count,
            backup_eligible, backed_up, aaguid, transports)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(credential_id) DO NOTHING";
    let values = (
        id.as_bytes(),
        thumbprint.as_bytes(),
        rp_id.as_str(),
        user_handle.as_bytes(),
        new.passkey.sign_count,
        new.passkey.backup_eligible,
        new.passkey.backed_up,
        aaguid.as_bytes(),
        transports_column(&new.passkey.transports),
    );
    Ok(rows::execute(connection, insert, values)? > 0)
}

/// Records that a passkey of the account has allowed a change, if one has: it must be live, its challenge
/// unused and its counter larger than before.
pub(super) fn spend_step_up(
    connection: &Connection,
    account: AccountId,
    step_up: Option<SpentStepUp>,
    now: UnixTime,
) -> Result<(), UsePasskeyError> {
    let Some(step_up) = step_up else { return Ok(()) };
    let thumbprint = &step_up.passkey.thumbprint;
    let update = "UPDATE credentials SET last_used_at = ?1
        WHERE thumbprint = ?2 AND revoked_at IS NULL
            AND user_id = (SELECT user_id FROM accounts WHERE account_id = ?3)";
    let values = (millis(now), thumbprint.as_bytes(), account.as_bytes());
    if rows::execute(connection, update, values)? == 0 {
        return Err(RecordLoginError::NotLive.into());
    }
    let _receipt = spend(connection, step_up.challenge)?;
    note_use(connection, &step_up.passkey)
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
