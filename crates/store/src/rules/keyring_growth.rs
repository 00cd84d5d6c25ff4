//! How many bytes online keyrings have: of an account, of all recent accounts, and of all together.

use crate::sql::{Connection, Row};
use countersign_authority::model::{
    keyring::Growth,
    keyring_growth::{Bound, Held},
};
use countersign_protocol::UnixTime;

use super::{
    error::DbError,
    keyring_rows::Holder,
    rows::{self, Columns},
};

/// The bound for an account at `now`, before anything is written.
pub(super) fn bound(
    connection: &Connection,
    holder: &Holder,
    growth: Growth,
    now: UnixTime,
) -> Result<Bound, DbError> {
    let select = "SELECT
        (SELECT coalesce(sum(length(ciphertext)), 0) FROM keyrings WHERE user_id = ?1),
        (SELECT coalesce(sum(length(ciphertext)), 0) FROM keyring_revisions WHERE user_id = ?1),
        (SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM keyring_bytes_by_day
            WHERE registered_day > ?2),
        (SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM keyring_bytes)";
    let values = (holder.user_id, growth.recent_after(now).cast_signed());
    let found = rows::first(connection, select, values, held)?;
    let held = found.unwrap_or(Held { present: 0, earlier: 0, recent: 0, all: 0 });
    Ok(Bound::new(growth, holder.registered_at, held, now))
}

fn held(row: &Row<'_>) -> Result<Held, DbError> {
    let mut columns = Columns::new(row, "keyring_bytes", 0);
    let mut bytes = || columns.read("bytes", |bytes: i64| u64::try_from(bytes));
    Ok(Held { present: bytes()?, earlier: bytes()?, recent: bytes()?, all: bytes()? })
}
