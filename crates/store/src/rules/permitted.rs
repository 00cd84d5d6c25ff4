//! Changes of an account that keys and passkeys permit.
//!
//! The answer of a passkey counts for one request, done or refused. A touch whose request was refused for what
//! was there then must not serve somebody later, when something else is there.

use crate::sql::Connection;
use countersign_authority::{
    model::account::AccountStatus,
    ports::{Permit, RecordLoginError, SpentStepUp, UsePasskeyError},
};
use countersign_protocol::{AccountId, ProvenKey, UnixTime};

use super::{
    assertions::spend,
    error::JobError,
    passkey_records::note_use,
    rows::{self, millis},
};

/// What permits a change of the account at a time.
#[derive(Clone, Copy)]
pub(super) struct Permitted {
    pub(super) account: AccountId,
    pub(super) permit: Permit,
    pub(super) at: UnixTime,
}

impl Permitted {
    /// `work` for [`Stored::write`](super::Stored::write), a change that is done if the keys that
    /// signed still may. The answer of a passkey is used up first, and stays used when the change is refused
    /// and undone. When the database fails, it is not.
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
        let work = |connection: &Connection| {
            self.check_signer(connection)?;
            work(connection)
        };
        let Some(step_up) = self.permit.step_up else { return work(connection).map(Ok) };
        self.spend_step_up(connection, step_up)?;
        rows::execute(connection, "SAVEPOINT change", ())?;
        let done = work(connection);
        if let Err(error) = &done {
            if !error.is_refusal() {
                // The whole transaction is rolled back, if it still is one.
                return done.map(Ok);
            }
            rows::execute(connection, "ROLLBACK TO change", ())?;
        }
        rows::execute(connection, "RELEASE change", ())?;
        Ok(done)
    }

    /// A key that is no credential has a session that is one's, or the password's.
    fn check_signer(self, connection: &Connection) -> Result<(), UsePasskeyError> {
        let Some(ProvenKey { credential, thumbprint }) = self.permit.signer else { return Ok(()) };
        let select = "SELECT a.status = ?1
                AND NOT EXISTS (SELECT 1 FROM credentials WHERE thumbprint IN (?2, ?3)
                    AND (revoked_at IS NOT NULL OR expires_at <= ?4 OR user_id <> a.user_id))
                AND NOT EXISTS (SELECT 1 FROM revoked_thumbprints WHERE thumbprint IN (?2, ?3))
            FROM accounts AS a WHERE a.account_id = ?5";
        let values = (
            AccountStatus::Active.name(),
            credential.as_bytes(),
            thumbprint.as_bytes(),
            millis(self.at),
            self.account.as_bytes(),
        );
        let may: Option<bool> = rows::first(connection, select, values, |row| row.get(0))?;
        may.filter(|may| *may).map(drop).ok_or_else(|| RecordLoginError::NotLive.into())
    }

    /// Records that a passkey of the account has allowed a change: it must be live, its challenge unused and
    /// its counter larger than before.
    fn spend_step_up(
        self,
        connection: &Connection,
        step_up: SpentStepUp,
    ) -> Result<(), UsePasskeyError> {
        let thumbprint = &step_up.passkey.thumbprint;
        let update = "UPDATE credentials SET last_used_at = ?1
            WHERE thumbprint = ?2 AND revoked_at IS NULL
                AND user_id = (SELECT user_id FROM accounts WHERE account_id = ?3)";
        let values = (millis(self.at), thumbprint.as_bytes(), self.account.as_bytes());
        if rows::execute(connection, update, values)? == 0 {
            return Err(RecordLoginError::NotLive.into());
        }
        let _receipt = spend(connection, step_up.challenge)?;
        note_use(connection, &step_up.passkey)
    }
}
