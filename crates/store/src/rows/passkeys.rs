//! Rows of passkeys.

use crate::sql::Row;
use countersign_authority::model::passkey::Passkey;
use countersign_protocol::{
    challenges::passkeys::AccountHandle,
    proofs::webauthn::{Aaguid, CredentialId, Transport},
};

use super::Columns;
use crate::error::DbError;

/// What [`read`] expects, from `passkeys AS p`.
pub(crate) const COLUMNS: &str = "p.credential_id, p.rp_id, p.user_handle, p.sign_count,
    p.backup_eligible, p.backed_up, p.aaguid, p.transports, p.unvouched_since";

/// Reads [`COLUMNS`] from the column at index `start` on.
pub(crate) fn read(row: &Row<'_>, start: usize) -> Result<Passkey, DbError> {
    let mut columns = Columns::new(row, "passkeys", start);
    Ok(Passkey {
        id: columns.read("credential_id", |id: Vec<u8>| CredentialId::try_from(&*id))?,
        rp_id: columns.parse("rp_id")?,
        user_handle: AccountHandle::from_bytes(columns.bytes("user_handle")?),
        sign_count: columns.read("sign_count", |count: i64| u32::try_from(count))?,
        backup_eligible: columns.plain("backup_eligible")?,
        backed_up: columns.plain("backed_up")?,
        aaguid: Aaguid::from_bytes(columns.bytes("aaguid")?),
        transports: columns.read("transports", |words: String| {
            words.split_ascii_whitespace().map(str::parse::<Transport>).collect()
        })?,
        unvouched_since: columns.optional_time("unvouched_since")?,
    })
}

/// The column `transports`.
pub(crate) fn transports_column(transports: &[Transport]) -> String {
    let words: Vec<_> = transports.iter().map(Transport::as_str).collect();
    words.join(" ")
}
