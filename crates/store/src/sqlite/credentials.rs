//! Credentials and logins.

use async_trait::async_trait;
use countersign_authority::{
    model::{
        account::{Account, AccountName, AccountStatus},
        audit::AuditEvent,
        credential::{Credential, Label},
    },
    ports::{
        AddCredentialError, CredentialStore, KeyLimits, LoginRecord, RecordLoginError,
        RenameCredentialError, RevokeCredentialError, StoreError,
    },
};
use countersign_protocol::{AccountId, ReplayEntry, SpentReceipt, UnixTime, keys::Thumbprint};
use rusqlite::{Connection, Row};

use super::{
    SqliteStore,
    assertions::spend,
    audit, claims,
    error::DbError,
    revocations,
    rows::{
        self, Columns, accounts,
        credentials::{COLUMN_COUNT, COLUMNS, is_taken, read},
        millis,
    },
};

/// How many revoked keys of an account are kept whole.
const KEPT_REVOKED: u32 = 32;

#[async_trait]
impl CredentialStore for SqliteStore {
    async fn add_credential(
        &self,
        credential: &Credential,
        limits: KeyLimits,
        event: AuditEvent,
    ) -> Result<(), AddCredentialError> {
        let credential = credential.clone();
        self.write(move |connection| {
            let user_id = accounts::user_id(connection, credential.account_id)?
                .ok_or(AddCredentialError::NoAccount)?;
            let live = count_live(connection, user_id)?;
            match credential.added_by {
                Some(adder) if !is_live(connection, user_id, &adder)? => {
                    return Err(AddCredentialError::AdderNotLive);
                }
                None if live > 0 => return Err(AddCredentialError::NotFirst),
                None => check_password_token(connection, credential.account_id, limits)?,
                Some(_) => {}
            }
            if live >= limits.live {
                return Err(AddCredentialError::LimitReached);
            }
            if count_revoked(connection, user_id)? >= limits.revoked {
                return Err(AddCredentialError::TooManyRevoked { limit: limits.revoked });
            }
            if !claims::insert_proven(connection, user_id, &credential, event.at)? {
                return Err(AddCredentialError::KeyTaken);
            }
            Ok(audit::record(connection, &event)?)
        })
        .await
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
            let mut live = rows::all(connection, &select, [id.as_bytes()], read)?;
            live.extend(claims::of_account(connection, id)?);
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
            let mut all = rows::all(connection, &select, [id.as_bytes()], read)?;
            all.extend(claims::of_account(connection, id)?);
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
    ) -> Result<(), RevokeCredentialError> {
        let thumbprint = *thumbprint;
        self.write(move |connection| {
            let user_id = accounts::user_id(connection, id)?;
            let user_id = user_id.ok_or(RevokeCredentialError::NotFound)?;
            let update = "UPDATE credentials SET revoked_at = ?
                WHERE thumbprint = ? AND user_id = ? AND revoked_at IS NULL";
            let values = (millis(event.at), thumbprint.as_bytes(), user_id);
            let revoked = rows::execute(connection, update, values)? > 0;
            if !revoked && !claims::withdraw(connection, user_id, &thumbprint)? {
                return Err(RevokeCredentialError::NotFound);
            }
            shorten(connection, user_id)?;
            if keep_last && count_live(connection, user_id)? == 0 {
                return Err(RevokeCredentialError::LastKey);
            }
            Ok(audit::record(connection, &event)?)
        })
        .await
    }

    async fn rename_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        label: &Label,
        event: AuditEvent,
    ) -> Result<Credential, RenameCredentialError> {
        let (thumbprint, label) = (*thumbprint, label.clone());
        self.write(move |connection| {
            let select = format!(
                "SELECT {COLUMNS} FROM credentials AS c
                 JOIN accounts AS a ON a.user_id = c.user_id
                 WHERE c.thumbprint = ? AND a.account_id = ? AND c.revoked_at IS NULL"
            );
            let values = (thumbprint.as_bytes(), id.as_bytes());
            let found = rows::first(connection, &select, values, read)?;
            let found = found.ok_or(RenameCredentialError::NotFound)?;
            if found.label != label {
                let update = "UPDATE credentials SET label = ? WHERE thumbprint = ?";
                rows::execute(connection, update, (label.as_str(), thumbprint.as_bytes()))?;
                audit::record(connection, &event)?;
            }
            Ok(Credential { label: label.clone(), ..found })
        })
        .await
    }

    async fn note_use(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let thumbprint = *thumbprint;
        self.write(move |connection| {
            if let Some(signer) = signer(connection, id, &thumbprint, now)? {
                note_login(connection, &signer, now)?;
            }
            Ok(())
        })
        .await
    }

    async fn record_login(&self, login: LoginRecord) -> Result<SpentReceipt, RecordLoginError> {
        self.write(move |connection| {
            let now = login.event.at;
            let signer = signer(connection, login.account_id, &login.thumbprint, now)?
                .filter(|signer| signer.status == AccountStatus::Active)
                .ok_or(RecordLoginError::NotLive)?;
            let receipt = spend(connection, login.assertion)?;
            note_login(connection, &signer, now)?;
            audit::record(connection, &login.event)?;
            Ok(receipt)
        })
        .await
    }

    async fn spend_assertion(
        &self,
        assertion: ReplayEntry,
    ) -> Result<SpentReceipt, RecordLoginError> {
        self.write(move |connection| spend(connection, assertion)).await
    }
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

/// Keeps the latest [`KEPT_REVOKED`] revoked keys of the account with this row id. Of older ones it
/// keeps only their thumbprints, so that they can never be registered again.
fn shorten(connection: &Connection, user_id: i64) -> Result<(), DbError> {
    let beyond = "SELECT thumbprint FROM credentials WHERE user_id = ? AND revoked_at IS NOT NULL
        ORDER BY revoked_at DESC, rowid DESC LIMIT -1 OFFSET ?";
    let thumbprint = |row: &Row<'_>| Columns::new(row, "credentials", 0).bytes::<32>("thumbprint");
    for thumbprint in rows::all(connection, beyond, (user_id, KEPT_REVOKED), thumbprint)? {
        let remember = "INSERT INTO revoked_thumbprints(thumbprint, user_id, revoked_at)
            SELECT thumbprint, user_id, revoked_at FROM credentials WHERE thumbprint = ?";
        rows::execute(connection, remember, [&thumbprint])?;
        let forget = "DELETE FROM credentials WHERE thumbprint = ?";
        rows::execute(connection, forget, [&thumbprint])?;
    }
    Ok(())
}

fn is_live(
    connection: &Connection,
    user_id: i64,
    thumbprint: &Thumbprint,
) -> Result<bool, DbError> {
    let select = "SELECT 1 FROM credentials
        WHERE thumbprint = ? AND user_id = ? AND revoked_at IS NULL";
    let values = (thumbprint.as_bytes(), user_id);
    Ok(rows::first(connection, select, values, |_| Ok(()))?.is_some())
}

/// Revokes every live key of the account with that row, and ends its claims. Returns which.
pub(super) fn revoke_all(
    connection: &Connection,
    user_id: i64,
    id: AccountId,
    now: UnixTime,
) -> Result<Vec<Thumbprint>, DbError> {
    let live = "SELECT thumbprint FROM credentials WHERE user_id = ? AND revoked_at IS NULL
        ORDER BY created_at, rowid";
    let mut revoked = rows::all(connection, live, [user_id], |row| {
        Ok(Thumbprint::from_bytes(Columns::new(row, "credentials", 0).bytes("thumbprint")?))
    })?;
    let update = "UPDATE credentials SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL";
    rows::execute(connection, update, (millis(now), user_id))?;
    for claim in claims::of_account(connection, id)? {
        claims::withdraw(connection, user_id, &claim.thumbprint())?;
        revoked.push(claim.thumbprint());
    }
    shorten(connection, user_id)?;
    Ok(revoked)
}

/// How many keys the account with that row may use or claims.
pub(super) fn count_live(connection: &Connection, user_id: i64) -> Result<usize, DbError> {
    let select = "SELECT count(*) FROM credentials WHERE user_id = ? AND revoked_at IS NULL";
    Ok(rows::count(connection, select, [user_id])? + claims::count(connection, user_id)?)
}

/// How many keys the account with that row has revoked, ever.
fn count_revoked(connection: &Connection, user_id: i64) -> Result<usize, DbError> {
    let whole = "SELECT count(*) FROM credentials WHERE user_id = ? AND revoked_at IS NOT NULL";
    let short = "SELECT count(*) FROM revoked_thumbprints WHERE user_id = ?";
    Ok(rows::count(connection, whole, [user_id])? + rows::count(connection, short, [user_id])?)
}

/// A key that is not revoked, as a login needs it.
struct Signer {
    status: AccountStatus,
    user_id: i64,
    /// The row of the key.
    row: i64,
}

/// Finds the account's key, unless it is revoked, and everything else about it in one query. If the
/// account only claims the key, the claim becomes a credential, because the account has signed
/// something.
fn signer(
    connection: &Connection,
    id: AccountId,
    thumbprint: &Thumbprint,
    now: UnixTime,
) -> Result<Option<Signer>, DbError> {
    let select = "SELECT a.status, c.user_id, c.rowid
        FROM credentials AS c JOIN accounts AS a ON a.user_id = c.user_id
        WHERE c.thumbprint = ? AND a.account_id = ? AND c.revoked_at IS NULL";
    let find = || {
        let values = (thumbprint.as_bytes(), id.as_bytes());
        rows::first(connection, select, values, |row| {
            let status = |name: String| rows::status(&name);
            let status = Columns::new(row, "accounts", 0).read("status", status)?;
            Ok(Signer { status, user_id: row.get(1)?, row: row.get(2)? })
        })
    };
    match find()? {
        None if claims::prove(connection, id, thumbprint, now)? => find(),
        found => Ok(found),
    }
}

/// Writes down that the key has just signed something. Every table that is touched here costs each
/// login a page of its own when there are many accounts.
fn note_login(connection: &Connection, signer: &Signer, now: UnixTime) -> Result<(), DbError> {
    let credential = "UPDATE credentials SET last_used_at = ? WHERE rowid = ?";
    rows::execute(connection, credential, (millis(now), signer.row))?;
    accounts::note_login(connection, signer.user_id, now)
}
