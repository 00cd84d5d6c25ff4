//! Rows of accounts.

use crate::sql::{Connection, Row, Value};
use countersign_authority::model::account::{Account, AccountName};
use countersign_protocol::{AccountId, UnixTime};

use super::{Columns, execute, first, status, timestamp};
use crate::error::DbError;

/// What [`read`] expects, from `accounts AS a JOIN users AS u ON u.id = a.user_id`.
pub(crate) const COLUMNS: &str =
    "u.username, u.last_login, a.account_id, a.status, a.scopes, a.registered_at,
    (SELECT n.alias FROM account_aliases AS n WHERE n.user_id = a.user_id ORDER BY n.alias LIMIT 1)";

pub(crate) const COLUMN_COUNT: usize = 7;

/// The SQL condition, on the same tables, that the account has this name; and the value to bind.
pub(crate) fn is_called(name: &AccountName) -> (&'static str, Value) {
    // A fingerprint names no account while several accounts claim the key with that fingerprint.
    const BY_ALIAS: &str = "a.user_id = (SELECT max(n.user_id) FROM account_aliases AS n
        WHERE n.alias = ? HAVING count(*) = 1)";
    match name {
        AccountName::Id(id) => ("a.account_id = ?", Value::from(id.as_bytes().as_slice())),
        AccountName::Fingerprint(fingerprint) => (BY_ALIAS, Value::from(fingerprint.to_string())),
        AccountName::Username(username) => {
            ("a.username_folded = ?", Value::from(username.folded()))
        }
    }
}

pub(crate) fn find(
    connection: &Connection,
    name: &AccountName,
) -> Result<Option<Account>, DbError> {
    const FROM: &str = "FROM accounts AS a JOIN users AS u ON u.id = a.user_id";
    let (is_called, value) = is_called(name);
    let select = format!("SELECT {COLUMNS} {FROM} WHERE {is_called}");
    first(connection, &select, value, |row| read(row, 0))
}

/// Reads [`COLUMNS`], beginning at column `start` of `row`.
pub(crate) fn read(row: &Row<'_>, start: usize) -> Result<Account, DbError> {
    let mut user = Columns::new(row, "users", start);
    let (username, last_login_at) =
        (user.parse("username")?, user.optional_timestamp("last_login")?);
    let mut columns = Columns::new(row, "accounts", start + 2);
    Ok(Account {
        id: AccountId::from_bytes(columns.bytes("account_id")?),
        username,
        status: columns.read("status", |name: String| status(&name))?,
        scopes: columns.parse("scopes")?,
        registered_at: columns.time("registered_at")?,
        fingerprint: Columns::new(row, "account_aliases", start + 6).parse_optional("alias")?,
        last_login_at,
    })
}

/// Records that the account with this row id has just logged in. The time never goes back: another node's clock may
/// be behind.
pub(crate) fn note_login(
    connection: &Connection,
    user_id: i64,
    now: UnixTime,
) -> Result<(), DbError> {
    let update = "UPDATE users SET last_login = ?1
        WHERE id = ?2 AND (last_login IS NULL OR last_login < ?1)";
    execute(connection, update, (timestamp(now), user_id)).map(drop)
}

/// The row id of an account.
pub(crate) fn user_id(connection: &Connection, id: AccountId) -> Result<Option<i64>, DbError> {
    let select = "SELECT user_id FROM accounts WHERE account_id = ?";
    first(connection, select, [id.as_bytes()], |row| row.get(0))
}
