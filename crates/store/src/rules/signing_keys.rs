//! The server's signing keys: those for access tokens in `native_keys`, those for tokens of passwords in
//! `keys`, which other programs read, with `signing_keys` beside it.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use countersign_authority::{
    model::key_life::{KeyLife, SealedSigningKey, Signs},
    ports::{
        ChangeSigningKeysError, SigningKeyChange, SigningKeyStore, SigningKeyVersion, StoreError,
        StoredSigningKeys,
    },
};
use countersign_protocol::keys::{Algorithm, Thumbprint};

use super::{
    Engine, Stored, audit,
    error::DbError,
    rows::{self, Columns, millis},
};

#[async_trait]
impl<E: Engine> SigningKeyStore for Stored<E> {
    async fn signing_keys(&self) -> Result<StoredSigningKeys, StoreError> {
        self.read_own(|connection| {
            // First, because another process may change the keys between these statements. What is
            // decided on keys that are newer than their version is refused, and decided anew.
            let version = version(connection)?;
            let native = "SELECT thumbprint, algorithm, created_at, active_from, retired_from,
                expires_at, key, iv FROM native_keys ORDER BY active_from, id";
            let of_passwords = "SELECT s.thumbprint, s.algorithm, s.created_at, s.active_from,
                s.retired_from, s.expires_at, k.key, k.iv
                FROM signing_keys AS s JOIN keys AS k ON k.kid = s.kid
                ORDER BY s.active_from, s.kid";
            let mut keys = rows::all(connection, native, (), |row| read(row, &NATIVE))?;
            keys.extend(rows::all(connection, of_passwords, (), |row| read(row, &OF_PASSWORDS))?);
            keys.sort_by_key(|key| key.life.active_from);
            Ok(StoredSigningKeys { version, keys })
        })
        .await
    }

    async fn change_signing_keys(
        &self,
        change: SigningKeyChange,
    ) -> Result<(), ChangeSigningKeysError> {
        let SigningKeyChange { decided_on, put, remove, events } = change;
        self.write([], move |connection| {
            succeed(connection, decided_on)?;
            put.iter().try_for_each(|key| insert_or_replace(connection, key))?;
            remove.iter().try_for_each(|kid| delete(connection, kid))?;
            Ok(events.iter().try_for_each(|event| audit::record(connection, event))?)
        })
        .await
    }
}

fn version(connection: &Connection) -> Result<SigningKeyVersion, DbError> {
    let select = "SELECT version FROM signing_key_version";
    let (table, column) = ("signing_key_version", "version");
    let version = rows::first(connection, select, (), |row| {
        let number = |version: i64| u64::try_from(version).map_err(|_| "negative");
        Columns::new(row, table, 0).read(column, number)
    })?;
    let missing = || DbError::Corrupt { table, column, reason: "it is missing".to_owned() };
    version.map(SigningKeyVersion).ok_or_else(missing)
}

/// Makes the version that follows `decided_on`, if that is the present one.
pub(super) fn succeed(
    connection: &Connection,
    decided_on: SigningKeyVersion,
) -> Result<(), ChangeSigningKeysError> {
    let update = "UPDATE signing_key_version SET version = version + 1 WHERE version = ?";
    // No row has a version that large.
    let decided_on = i64::try_from(decided_on.0).map_err(|_| ChangeSigningKeysError::Stale)?;
    let is_present = rows::execute(connection, update, [decided_on])? > 0;
    is_present.then_some(()).ok_or(ChangeSigningKeysError::Stale)
}

/// Deletes all of them.
pub(super) fn delete_all(connection: &Connection) -> Result<(), DbError> {
    let select = "SELECT thumbprint FROM native_keys UNION ALL SELECT thumbprint FROM signing_keys";
    let stored = rows::all(connection, select, (), |row| {
        let mut columns = Columns::new(row, "signing_keys", 0);
        Ok(Thumbprint::from_bytes(columns.bytes("thumbprint")?))
    })?;
    stored.iter().try_for_each(|kid| delete(connection, kid))
}

fn insert_or_replace(connection: &Connection, key: &SealedSigningKey) -> Result<(), DbError> {
    match key.signs {
        Signs::AccessTokens => insert_or_replace_native(connection, key),
        Signs::PasswordTokens => insert_or_replace_of_passwords(connection, key),
    }
}

fn insert_or_replace_native(
    connection: &Connection,
    key: &SealedSigningKey,
) -> Result<(), DbError> {
    // A replaced key keeps its place in the order of keys that begin to sign at the same moment.
    let put =
        "INSERT INTO native_keys(thumbprint, algorithm, created_at, active_from, retired_from,
            expires_at, key, iv) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT(thumbprint) DO UPDATE SET algorithm = excluded.algorithm,
            created_at = excluded.created_at, active_from = excluded.active_from,
            retired_from = excluded.retired_from, expires_at = excluded.expires_at,
            key = excluded.key, iv = excluded.iv";
    let values = (
        key.kid.as_bytes(),
        key.algorithm.name(),
        millis(key.life.created_at),
        millis(key.life.active_from),
        millis(key.life.retired_from),
        millis(key.life.expires_at),
        &key.ciphertext,
        key.nonce,
    );
    rows::execute(connection, put, values)?;
    Ok(())
}

fn insert_or_replace_of_passwords(
    connection: &Connection,
    key: &SealedSigningKey,
) -> Result<(), DbError> {
    let select = "SELECT kid FROM signing_keys WHERE thumbprint = ?";
    let row: Option<i64> = rows::first(connection, select, [key.kid.as_bytes()], |row| row.get(0))?;
    let exp = millis(key.life.expires_at) / 1000;
    let row = if let Some(row) = row {
        let update = "UPDATE keys SET key = ?, exp = ?, iv = ? WHERE kid = ?";
        rows::execute(connection, update, (&key.ciphertext, exp, key.nonce, row))?;
        row
    } else {
        let insert = "INSERT INTO keys(key, exp, iv) VALUES (?, ?, ?) RETURNING kid";
        let values = (&key.ciphertext, exp, key.nonce);
        let row = rows::first(connection, insert, values, |row| row.get(0))?;
        row.ok_or_else(|| unnumbered("keys", "kid"))?
    };
    let describe = "INSERT INTO signing_keys(kid, thumbprint, algorithm, created_at,
        active_from, retired_from, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT(kid) DO UPDATE SET algorithm = excluded.algorithm,
            created_at = excluded.created_at, active_from = excluded.active_from,
            retired_from = excluded.retired_from, expires_at = excluded.expires_at";
    let values = (
        row,
        key.kid.as_bytes(),
        key.algorithm.name(),
        millis(key.life.created_at),
        millis(key.life.active_from),
        millis(key.life.retired_from),
        millis(key.life.expires_at),
    );
    rows::execute(connection, describe, values)?;
    Ok(())
}

/// A row has not got the number that each gets.
fn unnumbered(table: &'static str, column: &'static str) -> DbError {
    DbError::Corrupt { table, column, reason: "a new row has none".to_owned() }
}

/// Removes the sealed key; the row that describes it goes along.
fn delete(connection: &Connection, kid: &Thumbprint) -> Result<(), DbError> {
    let delete = "DELETE FROM keys WHERE kid = (SELECT kid FROM signing_keys WHERE thumbprint = ?)";
    rows::execute(connection, delete, [kid.as_bytes()])?;
    rows::execute(connection, "DELETE FROM native_keys WHERE thumbprint = ?", [kid.as_bytes()])?;
    Ok(())
}

/// The tables for keys of one kind: their description, and the sealed key.
struct Place {
    signs: Signs,
    described_in: &'static str,
    sealed_in: &'static str,
}

const NATIVE: Place =
    Place { signs: Signs::AccessTokens, described_in: "native_keys", sealed_in: "native_keys" };
const OF_PASSWORDS: Place =
    Place { signs: Signs::PasswordTokens, described_in: "signing_keys", sealed_in: "keys" };

fn read(row: &Row<'_>, place: &Place) -> Result<SealedSigningKey, DbError> {
    let mut columns = Columns::new(row, place.described_in, 0);
    let kid = Thumbprint::from_bytes(columns.bytes("thumbprint")?);
    let algorithm = columns.read("algorithm", |name: String| {
        Algorithm::from_name(&name).ok_or("not the name of an algorithm")
    })?;
    let life = KeyLife {
        created_at: columns.time("created_at")?,
        active_from: columns.time("active_from")?,
        retired_from: columns.time("retired_from")?,
        expires_at: columns.time("expires_at")?,
    };
    let mut sealed = Columns::new(row, place.sealed_in, 6);
    Ok(SealedSigningKey {
        kid,
        signs: place.signs,
        algorithm,
        life,
        ciphertext: sealed.plain("key")?,
        nonce: sealed.bytes("iv")?,
    })
}
