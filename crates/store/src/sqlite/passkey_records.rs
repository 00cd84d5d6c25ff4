//! What is written down about passkeys: that there is one, and that one was used.
//!
//! The answer of a passkey counts for one request, done or refused. A touch whose request was refused for what
//! was there then must not serve somebody later, when something else is there.

use countersign_authority::{
    model::passkey::{Passkey, PasskeyUse},
    ports::{NewPasskey, RecordLoginError, SpentStepUp, UsePasskeyError},
};
use countersign_protocol::{AccountId, UnixTime, digest::sha256, proofs::webauthn::CredentialId};
use rusqlite::Connection;

use super::{
    assertions::spend,
    error::{DbError, JobError},
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

/// The leave of a passkey to change the account at a time, if one gave it.
#[derive(Clone, Copy)]
pub(super) struct StepUpOf {
    pub(super) account: AccountId,
    pub(super) step_up: Option<SpentStepUp>,
    pub(super) at: UnixTime,
}

impl StepUpOf {
    /// `work` for [`SqliteStore::write`](super::SqliteStore::write), a change that a passkey may have
    /// allowed. The answer is used up first, and stays used when `work` is refused and undone. When the
    /// database fails, it is not.
    ///
    /// The outer result is an error when nothing is to be kept, the inner one when the use is.
    pub(super) fn before<T, E>(
        self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> impl Fn(&Connection) -> Result<Result<T, E>, E> + Send + 'static
    where
        E: JobError + From<UsePasskeyError>,
    {
        move |connection| self.spend_on(connection, &work)
    }

    fn spend_on<T, E>(
        self,
        connection: &Connection,
        work: impl Fn(&Connection) -> Result<T, E>,
    ) -> Result<Result<T, E>, E>
    where
        E: JobError + From<UsePasskeyError>,
    {
        let Some(step_up) = self.step_up else { return work(connection).map(Ok) };
        spend_step_up(connection, self.account, step_up, self.at)?;
        rows::execute(connection, "SAVEPOINT change", [])?;
        let done = work(connection);
        if let Err(error) = &done {
            if !error.is_refusal() {
                // The whole transaction is rolled back, if it still is one.
                return done.map(Ok);
            }
            rows::execute(connection, "ROLLBACK TO change", [])?;
        }
        rows::execute(connection, "RELEASE change", [])?;
        Ok(done)
    }
}

/// Records that a passkey of the account has allowed a change: it must be live, its challenge unused and its
/// counter larger than before.
fn spend_step_up(
    connection: &Connection,
    account: AccountId,
    step_up: SpentStepUp,
    now: UnixTime,
) -> Result<(), UsePasskeyError> {
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
