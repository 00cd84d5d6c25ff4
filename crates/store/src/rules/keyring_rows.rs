//! What is written down of online keyrings: contents and slots.

use crate::sql::{Connection, Row};
use countersign_authority::{
    model::{
        account::AccountStatus,
        keyring::{KeyringContent, KnowledgeRecord, KnownSlot, Opener, Revision, Slot, day},
    },
    ports::{NewSlot, StoreKeyringError},
};
use countersign_protocol::{AccountId, UnixTime};

use super::{
    error::DbError,
    passkey_records::id_hash,
    rows::{
        self, Columns,
        keyrings::{COLUMNS, content, read, revision},
        millis,
    },
};

/// An account that has a keyring or may have one.
#[derive(Clone, Copy)]
pub(super) struct Holder {
    pub(super) user_id: i64,
    pub(super) registered_at: UnixTime,
    /// The number of the present content, if there is a keyring.
    pub(super) present: Option<Revision>,
}

/// The account `id`.
pub(super) fn holder(connection: &Connection, id: AccountId) -> Result<Option<Holder>, DbError> {
    let select = "SELECT a.registered_at, k.revision, a.user_id FROM accounts AS a
        LEFT JOIN keyrings AS k ON k.user_id = a.user_id WHERE a.account_id = ?";
    rows::first(connection, select, [id.as_bytes()], |row| {
        let registered_at = Columns::new(row, "accounts", 0).time("registered_at")?;
        let mut columns = Columns::new(row, "keyrings", 1);
        let present =
            columns.read("revision", |number: Option<i64>| number.map(revision).transpose())?;
        Ok(Holder { user_id: row.get(2)?, registered_at, present })
    })
}

/// The keyring of an account that is active.
pub(super) fn of_active(
    connection: &Connection,
    id: AccountId,
) -> Result<Option<(i64, Revision, KeyringContent)>, DbError> {
    let select = "SELECT k.nonce, k.ciphertext, k.revision, k.user_id FROM keyrings AS k
        JOIN accounts AS a ON a.user_id = k.user_id WHERE a.account_id = ? AND a.status = ?";
    let values = (id.as_bytes(), AccountStatus::Active.name());
    rows::first(connection, select, values, |row: &Row<'_>| {
        let mut columns = Columns::new(row, "keyrings", 0);
        let content = content(&mut columns)?;
        Ok((row.get(3)?, columns.read("revision", revision)?, content))
    })
}

/// Makes `content` the content of the account's keyring, under the next number.
pub(super) fn put(
    connection: &Connection,
    holder: &Holder,
    content: &KeyringContent,
    now: UnixTime,
) -> Result<Revision, DbError> {
    let count = "INSERT INTO keyring_counters(user_id, revision) VALUES (?, 1)
        ON CONFLICT(user_id) DO UPDATE SET revision = keyring_counters.revision + 1
        RETURNING revision";
    let user_id = holder.user_id;
    let next = rows::first(connection, count, [user_id], |row| {
        Columns::new(row, "keyring_counters", 0).read("revision", revision)
    })?;
    let next = next.unwrap_or(Revision(1));
    let put = "INSERT INTO keyrings(
            user_id, revision, nonce, ciphertext, updated_at, registered_day)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(user_id) DO UPDATE SET revision = excluded.revision,
            nonce = excluded.nonce, ciphertext = excluded.ciphertext, updated_at = excluded.updated_at";
    let registered_day = day(holder.registered_at).cast_signed();
    let KeyringContent { nonce, ciphertext } = content;
    let values = (user_id, number(next), nonce, ciphertext, millis(now), registered_day);
    rows::execute(connection, put, values)?;
    Ok(next)
}

/// The slots of an account's keyring, as the document has them.
pub(super) fn slots(connection: &Connection, user_id: i64) -> Result<Vec<KnownSlot>, DbError> {
    let select =
        format!("SELECT {COLUMNS} FROM keyring_slots AS s WHERE s.user_id = ? ORDER BY s.position");
    rows::all(connection, &select, [user_id], read)
}

/// Whether one of the `new` slots is a slot of the account's keyring, byte for byte. Then both keyrings
/// have the same content key.
pub(super) fn have_same_key(
    connection: &Connection,
    user_id: i64,
    new: &[NewSlot],
) -> Result<bool, DbError> {
    let known = slots(connection, user_id)?;
    Ok(known.iter().any(|known| new.iter().any(|new| new.slot == known.slot)))
}

/// Whether `content` is the content of the account's keyring.
pub(super) fn is_content(
    connection: &Connection,
    user_id: i64,
    KeyringContent { nonce, ciphertext }: &KeyringContent,
) -> Result<bool, DbError> {
    let select = "SELECT 1 FROM keyrings WHERE user_id = ? AND nonce = ? AND ciphertext = ?";
    Ok(rows::first(connection, select, (user_id, nonce, ciphertext), |_| Ok(()))?.is_some())
}

/// Whether the slots `new` are those of the account's keyring, byte for byte and in their order. A record
/// belongs to its slot, whose id was drawn for it.
pub(super) fn have_same_slots(
    connection: &Connection,
    user_id: i64,
    new: &[NewSlot],
) -> Result<bool, DbError> {
    let known = slots(connection, user_id)?;
    Ok(known.iter().map(|known| &known.slot).eq(new.iter().map(|new| &new.slot)))
}

/// A slot that there was before.
struct Known {
    created_at: UnixTime,
    record: Option<KnowledgeRecord>,
}

/// Makes `new` the slots of an account's keyring.
pub(super) fn replace_slots(
    connection: &Connection,
    user_id: i64,
    new: &[NewSlot],
    now: UnixTime,
) -> Result<(), StoreKeyringError> {
    let known = new.iter().map(|new| known(connection, user_id, &new.slot));
    let known = known.collect::<Result<Vec<_>, _>>()?;
    rows::execute(connection, "DELETE FROM keyring_slots WHERE user_id = ?", [user_id])?;
    for (position, (NewSlot { slot, record }, known)) in (0_u32..).zip(new.iter().zip(known)) {
        let created_at = known.as_ref().map_or(now, |known| known.created_at);
        let record = match (&slot.opener, record, known) {
            (Opener::Prf { .. }, _, _) => None,
            (_, Some(_), Some(_)) => return Err(StoreKeyringError::SlotTaken(slot.id)),
            (_, Some(record), None) => Some(record.clone()),
            (_, None, Some(Known { record: Some(record), .. })) => Some(record),
            (_, None, _) => return Err(StoreKeyringError::NoSlot(slot.id)),
        };
        insert_slot(connection, user_id, (position, slot, created_at), record.as_ref())?;
    }
    Ok(())
}

fn insert_slot(
    connection: &Connection,
    user_id: i64,
    (position, slot, created_at): (u32, &Slot, UnixTime),
    record: Option<&KnowledgeRecord>,
) -> Result<(), StoreKeyringError> {
    let passkey = match &slot.opener {
        Opener::Password | Opener::Recovery => None,
        Opener::Prf { passkey, salt } => {
            let select = "SELECT 1 FROM passkeys AS p
                JOIN credentials AS c ON c.thumbprint = p.thumbprint
                WHERE p.id_hash = ? AND c.user_id = ? AND c.revoked_at IS NULL";
            let live = rows::first(connection, select, (id_hash(passkey), user_id), |_| Ok(()))?;
            live.ok_or(StoreKeyringError::NoPasskey(slot.id))?;
            Some((passkey.as_bytes(), salt))
        }
    };
    let insert = "INSERT INTO keyring_slots(user_id, slot_id, position, kind, wrapped, created_at,
            opaque_user, record, passkey, salt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = (
        user_id,
        slot.id.as_bytes(),
        position,
        slot.opener.kind().name(),
        slot.wrapped,
        millis(created_at),
        record.map(|record| record.user),
        record.map(|record| &record.record),
        passkey.map(|(id, _)| id),
        passkey.map(|(_, salt)| salt),
    );
    Ok(rows::execute(connection, insert, values).map(drop)?)
}

/// What the account's keyring had under that id and of that kind. A slot of another kind is another slot.
fn known(
    connection: &Connection,
    user_id: i64,
    slot: &Slot,
) -> Result<Option<Known>, StoreKeyringError> {
    let select = "SELECT created_at, opaque_user, record, kind FROM keyring_slots
        WHERE user_id = ? AND slot_id = ?";
    let found = rows::first(connection, select, (user_id, slot.id.as_bytes()), |row| {
        let mut columns = Columns::new(row, "keyring_slots", 0);
        let created_at = columns.time("created_at")?;
        let user = columns.optional_bytes("opaque_user")?;
        let record: Option<Vec<u8>> = columns.plain("record")?;
        let record = user.zip(record).map(|(user, record)| KnowledgeRecord { user, record });
        Ok((Known { created_at, record }, columns.plain::<String>("kind")?))
    })?;
    match found {
        Some((known, kind)) if kind == slot.opener.kind().name() => Ok(Some(known)),
        Some(_) => Err(StoreKeyringError::NoSlot(slot.id)),
        None => Ok(None),
    }
}

pub(super) fn number(Revision(number): Revision) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
