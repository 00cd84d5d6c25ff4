//! Credentials and logins.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use countersign_authority::{
    model::{
        account::{Account, AccountName},
        audit::AuditEvent,
        credential::{Credential, Label},
        credential_kind::CredentialKind,
    },
    ports::{
        AddCredentialError, CredentialStore, KeyLimits, LoginRecord, Permit, RecordLoginError,
        RecordedLogin, RenameCredentialError, RevokeCredentialError, StoreError,
    },
};
use countersign_protocol::{AccountId, ReplayEntry, SpentReceipt, UnixTime, keys::Thumbprint};

use super::{
    Alone, Engine, Stored,
    assertions::spend,
    audit, claims,
    live_keys::{
        count_live, count_revoked, has_lasting, has_live, is_live, is_visit, revoke, shorten,
    },
    logins::{log_in, note_login, signer},
    permitted::Permitted,
    places, revocations,
    room_for_browsers::make_room,
    rows::{
        self, accounts,
        credentials::{COLUMN_COUNT, COLUMNS, IS_LIVE, is_taken, read},
        millis,
    },
};

#[async_trait]
impl<E: Engine> CredentialStore for Stored<E> {
    async fn add_credential(
        &self,
        credential: &Credential,
        limits: KeyLimits,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<Vec<Thumbprint>, AddCredentialError> {
        let credential = credential.clone();
        let permitted = Permitted { account: credential.account_id, permit, at: event.at };
        let alone = [Alone::Account(credential.account_id), Alone::Key(credential.thumbprint())];
        let work = permitted.before(move |connection| add(connection, &credential, limits, &event));
        self.write(alone, work).await?
    }

    async fn credential(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Credential, Account)>, StoreError> {
        let thumbprint = *thumbprint;
        self.read(move |connection| {
            let select = format!(
                "SELECT {COLUMNS}, {} FROM credentials AS c
                 JOIN accounts AS a ON a.user_id = c.user_id JOIN users AS u ON u.id = a.user_id
                 WHERE c.thumbprint = ?",
                accounts::COLUMNS
            );
            let both = |row: &Row<'_>| Ok((read(row)?, accounts::read(row, COLUMN_COUNT)?));
            Ok(rows::first(connection, &select, [thumbprint.as_bytes()], both)?)
        })
        .await
    }

    async fn is_taken(&self, thumbprint: &Thumbprint) -> Result<bool, StoreError> {
        let thumbprint = *thumbprint;
        self.read(move |connection| Ok(is_taken(connection, &thumbprint)?)).await
    }

    async fn live_credentials(
        &self,
        id: AccountId,
    ) -> Result<Option<(Account, Vec<Credential>)>, StoreError> {
        self.read(move |connection| {
            let Some(account) = accounts::find(connection, &AccountName::Id(id))? else {
                return Ok(None);
            };
            let select = format!(
                "SELECT {COLUMNS} FROM credentials AS c
                 JOIN accounts AS a ON a.user_id = c.user_id
                 WHERE a.account_id = ? AND c.revoked_at IS NULL ORDER BY c.created_at, c.rowid"
            );
            // First, because a claim may become a credential in between, and never the reverse.
            let claimed = claims::of_account(connection, id)?;
            let mut live = rows::all(connection, &select, [id.as_bytes()], read)?;
            claims::extend(&mut live, claimed);
            Ok(Some((account, live)))
        })
        .await
    }

    async fn credentials_of(&self, id: AccountId) -> Result<Vec<Credential>, StoreError> {
        self.read(move |connection| {
            // Bounded: the number of live keys has a limit, and at most `KEPT_REVOKED` revoked keys
            // have a row.
            let select = format!(
                "SELECT {COLUMNS} FROM credentials AS c
                 JOIN accounts AS a ON a.user_id = c.user_id
                 WHERE a.account_id = ? ORDER BY c.created_at, c.rowid"
            );
            let claimed = claims::of_account(connection, id)?;
            let mut all = rows::all(connection, &select, [id.as_bytes()], read)?;
            claims::extend(&mut all, claimed);
            Ok(all)
        })
        .await
    }

    async fn revoke_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        keep_last: bool,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<(), RevokeCredentialError> {
        let thumbprint = *thumbprint;
        // Used up before the revocation: a passkey may allow its own.
        let permitted = Permitted { account: id, permit, at: event.at };
        let work = permitted.before(move |connection: &Connection| {
            let user_id = accounts::user_id(connection, id)?;
            let user_id = user_id.ok_or(RevokeCredentialError::NotFound)?;
            let is_visit = is_visit(connection, &thumbprint)?;
            let revoked = revoke(connection, user_id, &thumbprint, event.at)?;
            if !revoked && !claims::withdraw(connection, user_id, &thumbprint)? {
                return Err(RevokeCredentialError::NotFound);
            }
            shorten(connection, user_id)?;
            if keep_last && !is_visit && !has_lasting(connection, user_id, event.at)? {
                return Err(RevokeCredentialError::LastKey);
            }
            Ok(audit::record(connection, &event)?)
        });
        self.write([Alone::Account(id)], work).await?
    }

    async fn rename_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        label: &Label,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<Credential, RenameCredentialError> {
        let (thumbprint, label) = (*thumbprint, label.clone());
        let permitted = Permitted { account: id, permit, at: event.at };
        let work = permitted.before(move |connection: &Connection| {
            let select = format!(
                "SELECT {COLUMNS} FROM credentials AS c
                 JOIN accounts AS a ON a.user_id = c.user_id
                 WHERE {IS_LIVE} AND c.thumbprint = ?2 AND a.account_id = ?3"
            );
            let values = (millis(event.at), thumbprint.as_bytes(), id.as_bytes());
            let found = rows::first(connection, &select, values, read)?;
            let found = found.ok_or(RenameCredentialError::NotFound)?;
            if found.label != label {
                let update = "UPDATE credentials SET label = ? WHERE thumbprint = ?";
                rows::execute(connection, update, (label.as_str(), thumbprint.as_bytes()))?;
                audit::record(connection, &event)?;
            }
            Ok(Credential { label: label.clone(), ..found })
        });
        self.write([Alone::Account(id)], work).await?
    }

    async fn note_use(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let thumbprint = *thumbprint;
        self.write([Alone::Account(id), Alone::Key(thumbprint)], move |connection| {
            if let Some(signer) = signer(connection, id, &thumbprint, now)? {
                note_login(connection, &signer, None, now)?;
            }
            Ok(())
        })
        .await
    }

    async fn note_uses(&self, uses: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.write([Alone::Trail], move |connection| {
            places::note_all(connection, &uses)?;
            Ok(uses.iter().try_for_each(|event| audit::record(connection, event))?)
        })
        .await
    }

    async fn record_login(&self, login: LoginRecord) -> Result<RecordedLogin, RecordLoginError> {
        if let Some(recording) = self.log_in_at_once(&login)
            && let Some(recorded) = recording.await?
        {
            return Ok(recorded);
        }
        let alone = [Alone::Account(login.account_id), Alone::Key(login.thumbprint)];
        self.write(alone, move |connection| {
            let (receipt, signer) = log_in(connection, &login)?;
            Ok(RecordedLogin { receipt, scopes: signer.scopes })
        })
        .await
    }

    async fn spend_assertion(
        &self,
        assertion: ReplayEntry,
    ) -> Result<SpentReceipt, RecordLoginError> {
        self.write([], move |connection| spend(connection, assertion)).await
    }
}

/// Adds a key to its account, with the event. Returns the browsers that were revoked to make room.
pub(super) fn add(
    connection: &Connection,
    credential: &Credential,
    limits: KeyLimits,
    event: &AuditEvent,
) -> Result<Vec<Thumbprint>, AddCredentialError> {
    let user_id = accounts::user_id(connection, credential.account_id)?
        .ok_or(AddCredentialError::NoAccount)?;
    let now = event.at;
    match credential.added_by {
        Some(adder) if !is_live(connection, user_id, &adder, now)? => {
            return Err(AddCredentialError::AdderNotLive);
        }
        None if has_live(connection, user_id, now)? => {
            return Err(AddCredentialError::NotFirst);
        }
        None => check_password_token(connection, credential.account_id, limits)?,
        Some(_) => {}
    }
    if count_revoked(connection, user_id)? >= limits.revoked {
        return Err(AddCredentialError::TooManyRevoked { limit: limits.revoked });
    }
    let revoked = match credential.kind {
        CredentialKind::Browser => make_room(connection, user_id, credential, limits.live)?,
        kind if count_live(connection, user_id, kind, now)? >= limits.live => {
            return Err(AddCredentialError::LimitReached);
        }
        CredentialKind::Key | CredentialKind::Mutual | CredentialKind::Passkey => Vec::new(),
    };
    if !claims::insert_proven(connection, user_id, credential, now)? {
        return Err(AddCredentialError::KeyTaken);
    }
    audit::record(connection, event)?;
    Ok(revoked)
}

/// A password may have been replaced since its token was looked at.
fn check_password_token(
    connection: &Connection,
    account_id: AccountId,
    limits: KeyLimits,
) -> Result<(), AddCredentialError> {
    let ended = match limits.password_token_of {
        Some(issued_at) => revocations::has_ended(connection, account_id, issued_at)?,
        None => false,
    };
    if ended { Err(AddCredentialError::PasswordReplaced) } else { Ok(()) }
}
