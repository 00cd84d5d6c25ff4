//! Claims: the keys of accounts that were registered without proof and have signed nothing yet.
//!
//! A claim counts for its own account alone. Any number of accounts may claim one key; the first
//! that signs something with it gets it, and the others lose their claim.

use crate::sql::Connection;
use countersign_authority::model::{
    audit::{AuditEvent, EventKind},
    credential::Credential,
    user_agent::UserAgent,
};
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use super::{
    audit,
    error::DbError,
    rows::{
        self, Columns, accounts,
        credentials::{address_bytes, algorithm_names, expiry_columns, is_taken, read},
        millis,
    },
};

/// How many accounts at most get an audit event about a lost claim. The claims of further accounts
/// are void as well, but stay in the table: one login must not pay for all that strangers have
/// claimed.
const TOLD: u32 = 16;

/// A claim, as [`read`] expects a credential.
const COLUMNS: &str =
    "a.account_id, k.spki, k.algorithms, k.label, NULL AS added_by, k.created_at, NULL AS last_used_at,
    NULL AS revoked_at, k.kind, NULL AS expires_at, 0 AS renews, NULL AS user_agent,
    NULL AS last_address, k.thumbprint";
const FROM: &str = "FROM claimed_keys AS k JOIN accounts AS a ON a.user_id = k.user_id";
/// The SQL condition that nobody has proven the key since it was claimed.
const IS_OPEN: &str =
    "NOT EXISTS (SELECT 1 FROM credentials AS c WHERE c.thumbprint = k.thumbprint)
     AND NOT EXISTS (SELECT 1 FROM revoked_thumbprints AS r WHERE r.thumbprint = k.thumbprint)";

/// Claims a key for the account with that row. `false` when an account has proven it.
pub(super) fn insert(
    connection: &Connection,
    user_id: i64,
    credential: &Credential,
    _now: UnixTime,
) -> Result<bool, DbError> {
    let thumbprint = credential.thumbprint();
    if is_taken(connection, &thumbprint)? {
        return Ok(false);
    }
    let insert =
        "INSERT INTO claimed_keys(user_id, thumbprint, spki, algorithms, label, created_at, kind)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = (
        user_id,
        thumbprint.as_bytes(),
        credential.public_key.to_spki_der(),
        algorithm_names(&credential.public_key),
        credential.label.as_str(),
        millis(credential.created_at),
        credential.kind.name(),
    );
    rows::execute(connection, insert, values)?;
    Ok(true)
}

/// The keys that an account claims and that nobody has proven since.
pub(super) fn of_account(
    connection: &Connection,
    id: AccountId,
) -> Result<Vec<Credential>, DbError> {
    let select = format!("SELECT {COLUMNS} {FROM} WHERE a.account_id = ? AND {IS_OPEN}");
    rows::all(connection, &select, [id.as_bytes()], |row| {
        Ok(Credential { is_proven: false, ..read(row)? })
    })
}

/// Adds to the credentials of an account what it `claimed` a moment before, unless it has proven it since.
pub(super) fn extend(credentials: &mut Vec<Credential>, claimed: Vec<Credential>) {
    for claim in claimed {
        if credentials.iter().all(|proven| proven.thumbprint() != claim.thumbprint()) {
            credentials.push(claim);
        }
    }
}

/// How many claims that account has.
pub(super) fn count(connection: &Connection, user_id: i64) -> Result<usize, DbError> {
    let select = format!("SELECT count(*) {FROM} WHERE k.user_id = ? AND {IS_OPEN}");
    rows::count(connection, &select, [user_id])
}

/// The account has signed something with the key: its open claim, if there is one, becomes a
/// credential. `false` when there is none.
pub(super) fn prove(
    connection: &Connection,
    id: AccountId,
    thumbprint: &Thumbprint,
    now: UnixTime,
) -> Result<bool, DbError> {
    let claims = of_account(connection, id)?;
    let Some(claim) = claims.into_iter().find(|claim| claim.thumbprint() == *thumbprint) else {
        return Ok(false);
    };
    match accounts::user_id(connection, id)? {
        Some(user_id) => insert_proven(connection, user_id, &claim, now),
        None => Ok(false),
    }
}

/// Inserts a key that the account with this row id has proven. Accounts that claimed it lose their
/// claims. `false` when an account has, or once had, the key.
pub(super) fn insert_proven(
    connection: &Connection,
    user_id: i64,
    credential: &Credential,
    now: UnixTime,
) -> Result<bool, DbError> {
    let thumbprint = credential.thumbprint();
    // One query, because most keys are new to everybody.
    let select = "SELECT EXISTS (SELECT 1 FROM credentials WHERE thumbprint = ?1)
            OR EXISTS (SELECT 1 FROM revoked_thumbprints WHERE thumbprint = ?1),
        EXISTS (SELECT 1 FROM claimed_keys WHERE thumbprint = ?1)
            OR EXISTS (SELECT 1 FROM account_aliases WHERE thumbprint = ?1)";
    let known = rows::first(connection, select, [thumbprint.as_bytes()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let (is_taken, is_claimed) = known.unwrap_or((true, true));
    if is_taken {
        return Ok(false);
    }
    let insert = "INSERT INTO credentials(thumbprint, user_id, spki, algorithms, label, added_by,
        created_at, last_used_at, revoked_at, kind, expires_at, renews, user_agent, last_address)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let (expires_at, renews) = expiry_columns(credential.expiry);
    let values = (
        thumbprint.as_bytes(),
        user_id,
        credential.public_key.to_spki_der(),
        algorithm_names(&credential.public_key),
        credential.label.as_str(),
        credential.added_by.as_ref().map(Thumbprint::as_bytes),
        millis(credential.created_at),
        credential.last_used_at.map(millis),
        credential.revoked_at.map(millis),
        credential.kind.name(),
        expires_at,
        renews,
        credential.user_agent.as_ref().map(UserAgent::as_str),
        credential.last_address.map(address_bytes),
    );
    rows::execute(connection, insert, values)?;
    if is_claimed {
        settle(connection, user_id, &thumbprint, now)?;
    }
    Ok(true)
}

/// Withdraws the claim of an account. `false` when there is none.
pub(super) fn withdraw(
    connection: &Connection,
    user_id: i64,
    thumbprint: &Thumbprint,
) -> Result<bool, DbError> {
    let delete = "DELETE FROM claimed_keys WHERE user_id = ? AND thumbprint = ?";
    let withdrawn = rows::execute(connection, delete, (user_id, thumbprint.as_bytes()))? > 0;
    if withdrawn {
        let delete = "DELETE FROM account_aliases WHERE user_id = ? AND thumbprint = ?";
        rows::execute(connection, delete, (user_id, thumbprint.as_bytes()))?;
    }
    Ok(withdrawn)
}

/// The account with this row id has proven the key. All other accounts lose their claims to it, and
/// the names that come with the claims.
fn settle(
    connection: &Connection,
    winner: i64,
    thumbprint: &Thumbprint,
    now: UnixTime,
) -> Result<(), DbError> {
    let delete = "DELETE FROM claimed_keys WHERE user_id = ? AND thumbprint = ?";
    rows::execute(connection, delete, (winner, thumbprint.as_bytes()))?;
    let losers =
        format!("SELECT k.user_id, a.account_id {FROM} WHERE k.thumbprint = ? LIMIT {TOLD}");
    let losers = rows::all(connection, &losers, [thumbprint.as_bytes()], |row| {
        Ok((row.get::<i64>(0)?, Columns::new(row, "accounts", 1).bytes("account_id")?))
    })?;
    for (user_id, account_id) in losers {
        rows::execute(connection, delete, (user_id, thumbprint.as_bytes()))?;
        let event = AuditEvent::new(now, EventKind::KeyClaimLost).key(*thumbprint);
        let event = event.account(AccountId::from_bytes(account_id));
        audit::record(connection, &event.detail("another account has proven it"))?;
    }
    let delete = "DELETE FROM account_aliases WHERE thumbprint = ? AND user_id <> ?";
    rows::execute(connection, delete, (thumbprint.as_bytes(), winner)).map(drop)
}
