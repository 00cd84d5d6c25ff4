//! Passkeys.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use countersign_authority::ports::{
    AddPasskeyError, KeyLimits, KnownPasskey, NewPasskey, OwnPasskey, PasskeyStore, Permit,
    StoreError,
};
use countersign_protocol::{
    AccountId,
    keys::Thumbprint,
    proofs::webauthn::{CredentialId, RpId},
};

use super::{
    Alone, Engine, Stored,
    assertions::spend,
    credentials,
    error::DbError,
    passkey_records::{id_hash, insert},
    permitted::Permitted,
    rows::{
        self, Columns, accounts,
        credentials::{COLUMN_COUNT, COLUMNS},
        passkeys::{COLUMNS as PASSKEY_COLUMNS, read},
    },
};

#[async_trait]
impl<E: Engine> PasskeyStore for Stored<E> {
    async fn passkey(&self, id: &CredentialId) -> Result<Option<KnownPasskey>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let select = format!(
                "SELECT {COLUMNS}, {}, {PASSKEY_COLUMNS} FROM passkeys AS p
                 JOIN credentials AS c ON c.thumbprint = p.thumbprint
                 JOIN accounts AS a ON a.user_id = c.user_id JOIN users AS u ON u.id = a.user_id
                 WHERE p.id_hash = ?",
                accounts::COLUMNS
            );
            let known = |row: &Row<'_>| {
                Ok(KnownPasskey {
                    credential: rows::credentials::read(row)?,
                    account: accounts::read(row, COLUMN_COUNT)?,
                    passkey: read(row, COLUMN_COUNT + accounts::COLUMN_COUNT)?,
                })
            };
            Ok(rows::first(connection, &select, [id_hash(&id)], known)?)
        })
        .await
    }

    async fn passkeys_of(&self, id: AccountId) -> Result<Vec<OwnPasskey>, StoreError> {
        self.read(move |connection| {
            let select = format!(
                "SELECT c.thumbprint, c.revoked_at IS NULL, {PASSKEY_COLUMNS} FROM passkeys AS p
                 JOIN credentials AS c ON c.thumbprint = p.thumbprint
                 JOIN accounts AS a ON a.user_id = c.user_id
                 WHERE a.account_id = ? ORDER BY c.created_at, c.rowid"
            );
            let own = |row: &Row<'_>| {
                let mut columns = Columns::new(row, "credentials", 0);
                let thumbprint = Thumbprint::from_bytes(columns.bytes("thumbprint")?);
                let is_live = columns.plain("revoked_at")?;
                Ok(OwnPasskey { thumbprint, is_live, passkey: read(row, 2)? })
            };
            Ok(rows::all(connection, &select, [id.as_bytes()], own)?)
        })
        .await
    }

    async fn add_passkey(
        &self,
        new: NewPasskey,
        limits: KeyLimits,
        permit: Permit,
    ) -> Result<(), AddPasskeyError> {
        let permitted = Permitted { account: new.credential.account_id, permit, at: new.event.at };
        let credential = &new.credential;
        let alone = [Alone::Account(credential.account_id), Alone::Key(credential.thumbprint())];
        let work = permitted.before(move |connection: &Connection| {
            let NewPasskey { credential, event, .. } = &new;
            credentials::add(connection, credential, limits, event)?;
            if !insert(connection, &new)? {
                return Err(AddPasskeyError::IdTaken);
            }
            spend(connection, new.challenge).map(drop).map_err(AddPasskeyError::Challenge)
        });
        self.write(alone, work).await?
    }

    async fn passkeys_of_others(
        &self,
        rp_id: Option<&RpId>,
    ) -> Result<Option<(String, u64)>, StoreError> {
        let rp_id = rp_id.cloned();
        self.read_whole(move |connection| {
            let rp_id = rp_id.as_ref().map(RpId::as_str);
            let Some(other) = other_rp_id(connection, rp_id)? else { return Ok(None) };
            let count = format!("SELECT count(*) {LIVE} AND p.rp_id = ?");
            let count = rows::count(connection, &count, [&other])?;
            Ok(Some((other, u64::try_from(count).unwrap_or(u64::MAX))))
        })
        .await
    }
}

/// Passkeys that work.
const LIVE: &str = "FROM passkeys AS p JOIN credentials AS c ON c.thumbprint = p.thumbprint
    WHERE c.revoked_at IS NULL";

/// Another relying party than `rp_id` for which there are live passkeys, or any. Every start asks, so the passkeys
/// of `rp_id`, which may be millions, are not looked at.
fn other_rp_id(connection: &Connection, rp_id: Option<&str>) -> Result<Option<String>, DbError> {
    let first = |condition: &str, rp_id: &str| {
        let select = format!("SELECT p.rp_id {LIVE} AND p.rp_id {condition} ? LIMIT 1");
        rows::first(connection, &select, [rp_id], |row| row.get(0))
    };
    match rp_id {
        // No relying party has an empty name.
        None => first(">", ""),
        Some(rp_id) => match first("<", rp_id)? {
            None => first(">", rp_id),
            found => Ok(found),
        },
    }
}
