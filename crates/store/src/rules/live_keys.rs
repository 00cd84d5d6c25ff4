//! Which keys of an account are live, how many there are, and what a revocation leaves.

use crate::sql::{Connection, Row};
use countersign_authority::model::credential_kind::CredentialKind;
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use super::{
    claims,
    error::DbError,
    rows::{self, Columns, credentials::IS_LIVE, millis},
};

/// How many revoked keys of an account are kept whole.
const KEPT_REVOKED: u32 = 32;

/// More than an account can have revoked.
const MANY: u32 = 1_000_000;

/// Keeps the latest [`KEPT_REVOKED`] revoked keys of the account with this row id. Of older ones it
/// keeps only their thumbprints, so that they can never be registered again. What they have added counts
/// as added by the key that had added them, whose owner may want to know all that it has let in.
pub(super) fn shorten(connection: &Connection, user_id: i64) -> Result<(), DbError> {
    let beyond = format!(
        "SELECT thumbprint FROM credentials WHERE user_id = ? AND revoked_at IS NOT NULL
         ORDER BY revoked_at DESC, rowid DESC LIMIT {MANY} OFFSET ?"
    );
    let thumbprint = |row: &Row<'_>| Columns::new(row, "credentials", 0).bytes::<32>("thumbprint");
    for thumbprint in rows::all(connection, &beyond, (user_id, KEPT_REVOKED), thumbprint)? {
        let remember = "INSERT INTO revoked_thumbprints(thumbprint, user_id, revoked_at)
            SELECT thumbprint, user_id, revoked_at FROM credentials WHERE thumbprint = ?";
        rows::execute(connection, remember, [&thumbprint])?;
        let inherit = "UPDATE credentials
            SET added_by = (SELECT added_by FROM credentials WHERE thumbprint = ?1)
            WHERE user_id = ?2 AND added_by = ?1";
        rows::execute(connection, inherit, (&thumbprint, user_id))?;
        let forget = "DELETE FROM credentials WHERE thumbprint = ?";
        rows::execute(connection, forget, [&thumbprint])?;
    }
    Ok(())
}

pub(super) fn is_live(
    connection: &Connection,
    user_id: i64,
    thumbprint: &Thumbprint,
    now: UnixTime,
) -> Result<bool, DbError> {
    let select = format!(
        "SELECT 1 FROM credentials AS c WHERE {IS_LIVE} AND c.thumbprint = ?2 AND c.user_id = ?3"
    );
    let values = (millis(now), thumbprint.as_bytes(), user_id);
    Ok(rows::first(connection, &select, values, |_| Ok(()))?.is_some())
}

/// Revokes a key of the account with that row. `false` when it is none of its keys that are not
/// revoked.
pub(super) fn revoke(
    connection: &Connection,
    user_id: i64,
    thumbprint: &Thumbprint,
    at: UnixTime,
) -> Result<bool, DbError> {
    let update = "UPDATE credentials SET revoked_at = ?
        WHERE thumbprint = ? AND user_id = ? AND revoked_at IS NULL";
    let values = (millis(at), thumbprint.as_bytes(), user_id);
    Ok(rows::execute(connection, update, values)? > 0)
}

/// Whether the key is remembered for one visit only.
pub(super) fn is_visit(connection: &Connection, thumbprint: &Thumbprint) -> Result<bool, DbError> {
    let select = "SELECT 1 FROM credentials
        WHERE thumbprint = ? AND expires_at IS NOT NULL AND renews = 0";
    Ok(rows::first(connection, select, [thumbprint.as_bytes()], |_| Ok(()))?.is_some())
}

/// Whether the account with that row has a live key that outlasts a visit, or claims one.
pub(super) fn has_lasting(
    connection: &Connection,
    user_id: i64,
    now: UnixTime,
) -> Result<bool, DbError> {
    let select = format!(
        "SELECT 1 FROM credentials AS c WHERE {IS_LIVE} AND c.user_id = ?2
            AND (c.expires_at IS NULL OR c.renews = 1)"
    );
    let is_there = rows::first(connection, &select, (millis(now), user_id), |_| Ok(()))?.is_some();
    Ok(is_there || claims::count(connection, user_id)? > 0)
}

/// Whether the account with that row has a live key of any kind, or claims one.
pub(super) fn has_live(
    connection: &Connection,
    user_id: i64,
    now: UnixTime,
) -> Result<bool, DbError> {
    let select = format!("SELECT 1 FROM credentials AS c WHERE {IS_LIVE} AND c.user_id = ?2");
    let is_there = rows::first(connection, &select, (millis(now), user_id), |_| Ok(()))?.is_some();
    Ok(is_there || claims::count(connection, user_id)? > 0)
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

/// How many live keys of that kind the account with that row has or claims.
pub(super) fn count_live(
    connection: &Connection,
    user_id: i64,
    kind: CredentialKind,
    now: UnixTime,
) -> Result<usize, DbError> {
    let select = format!(
        "SELECT count(*) FROM credentials AS c WHERE {IS_LIVE} AND c.user_id = ?2 AND c.kind = ?3"
    );
    let live = rows::count(connection, &select, (millis(now), user_id, kind.name()))?;
    let claimed = match kind {
        CredentialKind::Key => claims::count(connection, user_id)?,
        CredentialKind::Browser | CredentialKind::Mutual | CredentialKind::Passkey => 0,
    };
    Ok(live + claimed)
}

/// How many keys the account with that row has revoked, ever.
pub(super) fn count_revoked(connection: &Connection, user_id: i64) -> Result<usize, DbError> {
    let whole = "SELECT count(*) FROM credentials WHERE user_id = ? AND revoked_at IS NOT NULL";
    let short = "SELECT count(*) FROM revoked_thumbprints WHERE user_id = ?";
    Ok(rows::count(connection, whole, [user_id])? + rows::count(connection, short, [user_id])?)
}
