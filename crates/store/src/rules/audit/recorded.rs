//! Events as they are read back.

use crate::sql::Row;
use countersign_authority::model::audit::{Administrator, AuditEvent, RecordedEvent, Repeated};
use countersign_protocol::{AccountId, keys::Thumbprint};

use crate::rules::{error::DbError, rows::Columns};

/// All columns that [`read`] reads. The name of a key is the one given by the account that the event is about.
pub(super) const SELECT: &str =
    "SELECT id, at, kind, account_id, thumbprint, address, detail, facts, times,
    last_at, actor, reason,
    coalesce(
        (SELECT c.label FROM credentials c JOIN accounts a ON a.user_id = c.user_id
         WHERE c.thumbprint = e.thumbprint AND a.account_id = e.account_id),
        (SELECT c.label FROM claimed_keys c JOIN accounts a ON a.user_id = c.user_id
         WHERE c.thumbprint = e.thumbprint AND a.account_id = e.account_id))
    FROM audit_events AS e";

/// The event of a row of [`SELECT`].
pub(super) fn read(row: &Row<'_>) -> Result<RecordedEvent, DbError> {
    let mut columns = Columns::new(row, "audit_events", 0);
    let id = columns.read("id", |id: i64| u64::try_from(id))?;
    let event = AuditEvent {
        at: columns.time("at")?,
        kind: columns.parse("kind")?,
        account_id: columns.optional_bytes("account_id")?.map(AccountId::from_bytes),
        thumbprint: columns.optional_bytes("thumbprint")?.map(Thumbprint::from_bytes),
        address: columns.parse_optional("address")?,
        detail: columns.plain("detail")?,
        facts: columns.parse_optional("facts")?.unwrap_or_default(),
        repeated: repeated(&mut columns)?,
    };
    let actor: Option<String> = columns.plain("actor")?;
    let reason = columns.plain("reason")?;
    let by = actor.map(|name| Administrator { name, reason });
    Ok(RecordedEvent { id, event, label: columns.plain("label")?, by })
}

fn repeated(columns: &mut Columns<'_>) -> Result<Option<Repeated>, DbError> {
    let times = columns.read("times", |times: Option<i64>| times.map(u64::try_from).transpose())?;
    let last_at = columns.optional_time("last_at")?;
    Ok(times.zip(last_at).map(|(times, last_at)| Repeated { times, last_at }))
}
