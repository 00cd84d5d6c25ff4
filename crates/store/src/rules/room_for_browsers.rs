//! How a browser finds a place among those that an account may have.

use crate::sql::Connection;
use countersign_authority::model::{
    audit::{AuditEvent, EventKind, Reason},
    credential::Credential,
    credential_kind::CredentialKind,
};
use countersign_protocol::keys::Thumbprint;

use super::{
    audit,
    error::DbError,
    live_keys::{count_live, revoke, shorten},
    rows::{self, Columns, credentials::IS_LIVE, millis},
};

/// Revokes the browsers of the account that were used longest ago, until there is room for `browser`
/// among `limit`. Returns which.
pub(super) fn make_room(
    connection: &Connection,
    user_id: i64,
    browser: &Credential,
    limit: usize,
) -> Result<Vec<Thumbprint>, DbError> {
    let now = browser.created_at;
    let live = count_live(connection, user_id, CredentialKind::Browser, now)?;
    let surplus = (live + 1).saturating_sub(limit);
    let oldest = format!(
        "SELECT c.thumbprint FROM credentials AS c WHERE {IS_LIVE} AND c.user_id = ?2
            AND c.kind = ?3 ORDER BY coalesce(c.last_used_at, c.created_at), c.rowid LIMIT ?4"
    );
    let surplus = i64::try_from(surplus).unwrap_or(i64::MAX);
    let values = (millis(now), user_id, CredentialKind::Browser.name(), surplus);
    let oldest = rows::all(connection, &oldest, values, |row| {
        Ok(Thumbprint::from_bytes(Columns::new(row, "credentials", 0).bytes("thumbprint")?))
    })?;
    for thumbprint in &oldest {
        revoke(connection, user_id, thumbprint, now)?;
        let event = AuditEvent::new(now, EventKind::KeyRevoked).account(browser.account_id);
        let detail = format!(
            "another browser signed in, and of {limit} that may be remembered this one was used longest ago"
        );
        let event = AuditEvent { address: browser.last_address, ..event };
        let event = event.because(Reason::TooManyBrowsers);
        audit::record(connection, &event.key(*thumbprint).detail(detail))?;
    }
    shorten(connection, user_id)?;
    Ok(oldest)
}
