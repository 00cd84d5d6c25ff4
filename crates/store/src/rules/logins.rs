//! What a login writes down.

use std::net::IpAddr;

use crate::sql::Connection;
use countersign_authority::{
    model::{account::AccountStatus, user_agent::UserAgent},
    ports::{LoginRecord, RecordLoginError, Renewal},
};
use countersign_protocol::{AccountId, Scopes, SpentReceipt, UnixTime, keys::Thumbprint};

use super::{
    assertions::spend,
    audit, claims,
    error::DbError,
    places::{self, Use},
    rows::{
        self, Columns, accounts,
        credentials::{address, address_bytes, expiry_columns},
        millis,
    },
};

/// Records a login: the key must be live and its account active.
pub(super) fn log_in(
    connection: &Connection,
    login: &LoginRecord,
) -> Result<(SpentReceipt, Signer), RecordLoginError> {
    let LoginRecord { account_id, thumbprint, assertion, event, renewal } = login;
    let signer = signer(connection, *account_id, thumbprint, event.at)?
        .filter(|signer| signer.status == AccountStatus::Active)
        .ok_or(RecordLoginError::NotLive)?;
    // First the row of the key, then the assertion, as all logins take them: none waits for one that waits for it.
    note_login(connection, &signer, event.address, event.at)?;
    let receipt = spend(connection, *assertion)?;
    if let Some(address) = event.address {
        let (account_id, thumbprint, at) = (*account_id, *thumbprint, event.at);
        places::arrive(
            connection,
            Use { account_id, thumbprint, address, at },
            signer.last_address,
        )?;
    }
    if let Some(renewal) = renewal {
        renew(connection, thumbprint, renewal)?;
    }
    audit::record(connection, event)?;
    Ok((receipt, signer))
}

/// The key of a browser lives on.
pub(super) fn renew(
    connection: &Connection,
    thumbprint: &Thumbprint,
    Renewal { expiry, user_agent }: &Renewal,
) -> Result<(), DbError> {
    let update = "UPDATE credentials SET expires_at = ?, renews = ?,
        user_agent = coalesce(?, user_agent) WHERE thumbprint = ?";
    let (expires_at, renews) = expiry_columns(*expiry);
    let user_agent = user_agent.as_ref().map(UserAgent::as_str);
    let values = (expires_at, renews, user_agent, thumbprint.as_bytes());
    rows::execute(connection, update, values).map(drop)
}

/// A live key, as a login needs it.
pub(super) struct Signer {
    status: AccountStatus,
    pub(super) scopes: Scopes,
    pub(super) user_id: i64,
    /// The row of the key.
    row: i64,
    last_address: Option<IpAddr>,
}

/// Finds the account's key if it is live, and everything else about it in one query. If the
/// account only claims the key, the claim becomes a credential, because the account has signed
/// something.
pub(super) fn signer(
    connection: &Connection,
    id: AccountId,
    thumbprint: &Thumbprint,
    now: UnixTime,
) -> Result<Option<Signer>, DbError> {
    let select = "SELECT a.status, a.scopes, c.user_id, c.rowid, c.last_address
        FROM credentials AS c JOIN accounts AS a ON a.user_id = c.user_id
        WHERE c.thumbprint = ?2 AND a.account_id = ?3
            AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?1)";
    let find = || {
        let values = (millis(now), thumbprint.as_bytes(), id.as_bytes());
        rows::first(connection, select, values, |row| {
            let status = |name: String| rows::status(&name);
            let mut account = Columns::new(row, "accounts", 0);
            let (status, scopes) = (account.read("status", status)?, account.parse("scopes")?);
            let last_address = row.get::<Option<[u8; 16]>>(4)?.map(address);
            Ok(Signer { status, scopes, user_id: row.get(2)?, row: row.get(3)?, last_address })
        })
    };
    match find()? {
        None if claims::prove(connection, id, thumbprint, now)? => find(),
        found => Ok(found),
    }
}

/// Writes down that the key has just signed something. Every table that is touched here costs each
/// login a page of its own when there are many accounts.
pub(super) fn note_login(
    connection: &Connection,
    signer: &Signer,
    address: Option<IpAddr>,
    now: UnixTime,
) -> Result<(), DbError> {
    let credential = "UPDATE credentials
        SET last_used_at = ?, last_address = coalesce(?, last_address) WHERE rowid = ?";
    let values = (millis(now), address.map(address_bytes), signer.row);
    rows::execute(connection, credential, values)?;
    accounts::note_login(connection, signer.user_id, now)
}
