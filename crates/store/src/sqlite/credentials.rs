//! Credentials and logins.

use async_trait::async_trait;
use countersign_authority::{
    account::{Account, AccountStatus},
    audit::AuditEvent,
    credential::Credential,
    ports::{
        AddCredentialError, CredentialStore, LoginRecord, RecordLoginError, RevokeCredentialError,
        StoreError,
    },
};
use countersign_protocol::{
    AccountId, ReplayEntry, SpentReceipt, UnixTime,
    keys::{Algorithm, KeyPolicy, PublicKey, Thumbprint},
};
use rusqlite::{Connection, Row};
use serde_json::Value;

use super::{
    SqliteStore, accounts, audit,
    error::DbError,
    rows::{self, Columns, millis},
};

/// What [`read`] expects, from `credentials AS c JOIN accounts AS a ON a.user_id = c.user_id`.
const COLUMNS: &str =
    "a.account_id, c.spki, c.algorithms, c.label, c.created_at, c.last_used_at, c.revoked_at";
const COLUMN_COUNT: usize = 7;

/// Stored keys were let in under the policy of their day.
const ANY_SIZE: KeyPolicy = KeyPolicy { min_rsa_bits: 0, max_rsa_bits: u32::MAX };

#[async_trait]
impl CredentialStore for SqliteStore {
    async fn add_credential(
        &self,
        credential: &Credential,
        max_live: usize,
        event: AuditEvent,
    ) -> Result<(), AddCredentialError> {
        let credential = credential.clone();
        self.write(move |connection| {
            let user_id = accounts::user_id(connection, credential.account_id)?
                .ok_or(AddCredentialError::NoAccount)?;
            if count_live(connection, user_id)? >= max_live {
                return Err(AddCredentialError::LimitReached);
            }
            if !insert(connection, user_id, &credential, Possession::Proven)? {
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

    async fn credentials_of(&self, id: AccountId) -> Result<Vec<Credential>, StoreError> {
        self.read(move |connection| {
            let select = format!(
                "SELECT {COLUMNS} FROM credentials AS c
                 JOIN accounts AS a ON a.user_id = c.user_id
                 WHERE a.account_id = ? ORDER BY c.created_at, c.rowid"
            );
            Ok(rows::all(connection, &select, [id.as_bytes()], read)?)
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
            if rows::execute(connection, update, values)? == 0 {
                return Err(RevokeCredentialError::NotFound);
            }
            if keep_last && count_live(connection, user_id)? == 0 {
                return Err(RevokeCredentialError::LastKey);
            }
            Ok(audit::record(connection, &event)?)
        })
        .await
    }

    async fn note_use(&self, thumbprint: &Thumbprint, now: UnixTime) -> Result<(), StoreError> {
        let thumbprint = *thumbprint;
        self.write(move |connection| {
            if let Some(signer) = signer(connection, &thumbprint)? {
                note_login(connection, &thumbprint, &signer, now)?;
            }
            Ok(())
        })
        .await
    }

    async fn record_login(&self, login: LoginRecord) -> Result<SpentReceipt, RecordLoginError> {
        self.write(move |connection| {
            let thumbprint = &login.thumbprint;
            let signer = signer(connection, thumbprint)?
                .filter(|signer| signer.may_log_in(login.account_id))
                .ok_or(RecordLoginError::NotLive)?;
            let receipt = spend(connection, login.assertion)?;
            note_login(connection, thumbprint, &signer, login.event.at)?;
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

/// Whether whoever registers a key has shown that they possess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Possession {
    Proven,
    Unproven,
}

/// Inserts a key of the account with that row. `false` when the key is known already, unless it is
/// proven now and was not before.
pub(super) fn insert(
    connection: &Connection,
    user_id: i64,
    credential: &Credential,
    possession: Possession,
) -> Result<bool, DbError> {
    let insert = "INSERT INTO credentials(thumbprint, user_id, spki, algorithms, label,
        created_at, last_used_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT(thumbprint) DO NOTHING";
    let thumbprint = credential.thumbprint();
    let values = (
        thumbprint.as_bytes(),
        user_id,
        credential.public_key.to_spki_der(),
        algorithm_names(&credential.public_key),
        credential.label.as_str(),
        millis(credential.created_at),
        credential.last_used_at.map(millis),
        credential.revoked_at.map(millis),
    );
    let is_new = rows::execute(connection, insert, values)? > 0;
    match possession {
        Possession::Proven => Ok(is_new || take_over(connection, user_id, credential)?),
        Possession::Unproven => {
            if is_new {
                let insert = "INSERT INTO unproven_keys(thumbprint) VALUES (?)";
                rows::execute(connection, insert, [thumbprint.as_bytes()])?;
            }
            Ok(is_new)
        }
    }
}

/// Gives a live key that never proved itself to the account that has proven it. `false` when there
/// is none.
fn take_over(
    connection: &Connection,
    user_id: i64,
    credential: &Credential,
) -> Result<bool, DbError> {
    let thumbprint = credential.thumbprint();
    let delete = "DELETE FROM unproven_keys WHERE thumbprint = ?1 AND EXISTS
        (SELECT 1 FROM credentials WHERE thumbprint = ?1 AND revoked_at IS NULL)";
    if rows::execute(connection, delete, [thumbprint.as_bytes()])? == 0 {
        return Ok(false);
    }
    let delete = "DELETE FROM account_aliases WHERE thumbprint = ?";
    rows::execute(connection, delete, [thumbprint.as_bytes()])?;
    let update = "UPDATE credentials SET user_id = ?, algorithms = ?, label = ?, created_at = ?,
        last_used_at = NULL WHERE thumbprint = ?";
    let values = (
        user_id,
        algorithm_names(&credential.public_key),
        credential.label.as_str(),
        millis(credential.created_at),
        thumbprint.as_bytes(),
    );
    Ok(rows::execute(connection, update, values)? > 0)
}

fn count_live(connection: &Connection, user_id: i64) -> Result<usize, DbError> {
    let select = "SELECT count(*) FROM credentials WHERE user_id = ? AND revoked_at IS NULL";
    let count = rows::first(connection, select, [user_id], |row| Ok(row.get::<_, i64>(0)?))?;
    Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default())
}

/// Records the assertion as used, if it has not been.
fn spend(
    connection: &Connection,
    assertion: ReplayEntry,
) -> Result<SpentReceipt, RecordLoginError> {
    let insert = "INSERT INTO used_assertions(digest, forget_at) VALUES (?, ?)
        ON CONFLICT DO NOTHING";
    let values = (assertion.digest, millis(assertion.forget_at));
    if rows::execute(connection, insert, values)? == 0 {
        return Err(RecordLoginError::AlreadyUsed);
    }
    Ok(SpentReceipt::recorded(assertion))
}

/// A key that is not revoked, as a login needs it.
struct Signer {
    account_id: AccountId,
    status: AccountStatus,
    user_id: i64,
    /// The row of the key.
    row: i64,
    /// Whether it has never signed anything.
    is_unproven: bool,
}

impl Signer {
    fn may_log_in(&self, account_id: AccountId) -> bool {
        self.account_id == account_id && self.status == AccountStatus::Active
    }
}

/// Finds the key of that thumbprint, unless it is revoked, and all else about it with the same query.
fn signer(connection: &Connection, thumbprint: &Thumbprint) -> Result<Option<Signer>, DbError> {
    let select = "SELECT a.account_id, a.status, c.user_id, c.rowid,
        EXISTS (SELECT 1 FROM unproven_keys AS n WHERE n.thumbprint = c.thumbprint)
        FROM credentials AS c JOIN accounts AS a ON a.user_id = c.user_id
        WHERE c.thumbprint = ? AND c.revoked_at IS NULL";
    rows::first(connection, select, [thumbprint.as_bytes()], |row| {
        let mut columns = Columns::new(row, "accounts", 0);
        let account_id = AccountId::from_bytes(columns.bytes("account_id")?);
        let status = columns.read("status", |name: String| rows::status(&name))?;
        let (user_id, row, is_unproven) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(Signer { account_id, status, user_id, row, is_unproven })
    })
}

/// Writes down that the key has just signed something. Every table that is touched here costs each
/// login a page of its own when there are many accounts.
fn note_login(
    connection: &Connection,
    thumbprint: &Thumbprint,
    signer: &Signer,
    now: UnixTime,
) -> Result<(), DbError> {
    let credential = "UPDATE credentials SET last_used_at = ? WHERE rowid = ?";
    rows::execute(connection, credential, (millis(now), signer.row))?;
    if signer.is_unproven {
        // Whatever it was registered with: now it has signed something.
        let proven = "DELETE FROM unproven_keys WHERE thumbprint = ?";
        rows::execute(connection, proven, [thumbprint.as_bytes()])?;
    }
    accounts::note_login(connection, signer.user_id, now)
}

fn read(row: &Row<'_>) -> Result<Credential, DbError> {
    let account_id = Columns::new(row, "accounts", 0).bytes("account_id")?;
    let mut columns = Columns::new(row, "credentials", 1);
    let public_key =
        columns.read("spki", |spki: Vec<u8>| PublicKey::from_spki_der(&spki, &ANY_SIZE))?;
    Ok(Credential {
        account_id: AccountId::from_bytes(account_id),
        public_key: columns.read("algorithms", |names: String| narrow(public_key, &names))?,
        label: columns.parse("label")?,
        created_at: columns.time("created_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
        revoked_at: columns.optional_time("revoked_at")?,
    })
}

fn algorithm_names(key: &PublicKey) -> String {
    let names: Vec<_> = key.algorithms().iter().map(|algorithm| algorithm.name()).collect();
    names.join(" ")
}

/// The same key, restricted to the algorithms that its owner registered it for.
fn narrow(key: PublicKey, names: &str) -> Result<PublicKey, &'static str> {
    if algorithm_names(&key) == names {
        return Ok(key);
    }
    let refused = "not algorithms of this key";
    let algorithm = Algorithm::from_name(names).ok_or(refused)?;
    let mut jwk = key.to_jwk();
    jwk.insert("alg".to_owned(), Value::from(algorithm.name()));
    PublicKey::from_jwk(&jwk, &ANY_SIZE).map_err(|_| refused)
}
