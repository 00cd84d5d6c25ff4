//! Rows of online keyrings.

use std::num::TryFromIntError;

use crate::sql::Row;
use countersign_authority::{
    model::keyring::{
        KeyringContent, KnowledgeRecord, KnownSlot, Opener, Revision, Slot, SlotId, SlotKind,
    },
    ports::KnowledgeSlot,
};
use countersign_protocol::{AccountId, proofs::webauthn::CredentialId};

use super::Columns;
use crate::error::DbError;

/// What [`read`] expects, from `keyring_slots AS s`. The last says whether its passkey, if it has one, is no
/// live one of the account.
pub(crate) const COLUMNS: &str = "s.slot_id, s.kind, s.wrapped, s.created_at, s.passkey, s.salt,
    s.passkey IS NOT NULL AND NOT EXISTS (SELECT 1 FROM credentials AS c
        CROSS JOIN passkeys AS p ON p.thumbprint = c.thumbprint
        WHERE c.user_id = s.user_id AND c.revoked_at IS NULL AND p.credential_id = s.passkey)";

/// Reads [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<KnownSlot, DbError> {
    let mut columns = Columns::new(row, "keyring_slots", 0);
    let id = SlotId::from_bytes(columns.bytes("slot_id")?);
    let kind = columns.parse("kind")?;
    let wrapped = columns.bytes("wrapped")?;
    let created_at = columns.time("created_at")?;
    let opener = match kind {
        SlotKind::Password => Opener::Password,
        SlotKind::Recovery => Opener::Recovery,
        SlotKind::Prf => Opener::Prf {
            passkey: columns.read("passkey", |id: Vec<u8>| CredentialId::try_from(&*id))?,
            salt: columns.bytes("salt")?,
        },
    };
    let passkey_revoked = row.get(6)?;
    Ok(KnownSlot { slot: Slot { id, opener, wrapped }, created_at, passkey_revoked })
}

/// Reads `accounts.account_id, slot_id, opaque_user, record`.
pub(crate) fn knowledge(row: &Row<'_>) -> Result<KnowledgeSlot, DbError> {
    let account_id = AccountId::from_bytes(Columns::new(row, "accounts", 0).bytes("account_id")?);
    let mut columns = Columns::new(row, "keyring_slots", 1);
    let id = SlotId::from_bytes(columns.bytes("slot_id")?);
    let record =
        KnowledgeRecord { user: columns.bytes("opaque_user")?, record: columns.plain("record")? };
    Ok(KnowledgeSlot { account_id, id, record })
}

/// Reads `nonce, ciphertext`.
pub(crate) fn content(columns: &mut Columns<'_>) -> Result<KeyringContent, DbError> {
    Ok(KeyringContent { nonce: columns.bytes("nonce")?, ciphertext: columns.plain("ciphertext")? })
}

/// Reads the number of a content.
pub(crate) fn revision(number: i64) -> Result<Revision, TryFromIntError> {
    u64::try_from(number).map(Revision)
}
