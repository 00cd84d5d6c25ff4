//! Rows of credentials.

use std::net::IpAddr;

use crate::sql::{Connection, Row};
use countersign_authority::model::{
    credential::{Credential, Expiry},
    user_agent::UserAgent,
};
use countersign_protocol::{
    AccountId,
    keys::{Algorithm, KeyPolicy, PublicKey, Thumbprint},
};
use serde_json::Value;

use super::{Columns, first, millis};
use crate::error::DbError;

/// What [`read`] expects, from `credentials AS c JOIN accounts AS a ON a.user_id = c.user_id`.
pub(crate) const COLUMNS: &str =
    "a.account_id, c.spki, c.algorithms, c.label, c.added_by, c.created_at,
    c.last_used_at, c.revoked_at, c.kind, c.expires_at, c.renews, c.user_agent, c.last_address,
    c.thumbprint";
pub(crate) const COLUMN_COUNT: usize = 14;
/// The SQL condition that the credential `c` may act at the time `?1`.
pub(crate) const IS_LIVE: &str =
    "c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?1)";

/// Whether an account has, or once had, that key, having proven it.
pub(crate) fn is_taken(connection: &Connection, thumbprint: &Thumbprint) -> Result<bool, DbError> {
    let select = "SELECT 1 FROM credentials WHERE thumbprint = ?1
        UNION ALL SELECT 1 FROM revoked_thumbprints WHERE thumbprint = ?1";
    Ok(first(connection, select, [thumbprint.as_bytes()], |_| Ok(()))?.is_some())
}

/// Reads [`COLUMNS`] of a key that was proven.
pub(crate) fn read(row: &Row<'_>) -> Result<Credential, DbError> {
    let account_id = Columns::new(row, "accounts", 0).bytes("account_id")?;
    let mut columns = Columns::new(row, "credentials", 1);
    let public_key =
        columns.read("spki", |spki: Vec<u8>| PublicKey::from_spki_der(&spki, &KeyPolicy::ANY))?;
    let credential = Credential {
        account_id: AccountId::from_bytes(account_id),
        public_key: columns.read("algorithms", |names: String| narrow(public_key, &names))?,
        label: columns.parse("label")?,
        added_by: columns.optional_bytes("added_by")?.map(Thumbprint::from_bytes),
        created_at: columns.time("created_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
        revoked_at: columns.optional_time("revoked_at")?,
        kind: columns.parse("kind")?,
        expiry: expiry(&mut columns)?,
        user_agent: user_agent(columns.plain("user_agent")?),
        last_address: columns.optional_bytes("last_address")?.map(address),
        is_proven: true,
    };
    let thumbprint = Thumbprint::from_bytes(columns.bytes("thumbprint")?);
    Ok(if credential.thumbprint() == thumbprint {
        credential
    } else {
        Credential { public_key: credential.public_key.of_passkey(), ..credential }
    })
}

fn user_agent(text: Option<String>) -> Option<UserAgent> {
    text.and_then(|text| UserAgent::of(text.as_bytes()))
}

fn expiry(columns: &mut Columns<'_>) -> Result<Expiry, DbError> {
    let expires_at = columns.optional_time("expires_at")?;
    let renews: bool = columns.plain("renews")?;
    Ok(match expires_at {
        None => Expiry::Never,
        Some(time) if renews => Expiry::Idle(time),
        Some(time) => Expiry::At(time),
    })
}

/// The columns `expires_at` and `renews`.
pub(crate) fn expiry_columns(expiry: Expiry) -> (Option<i64>, bool) {
    (expiry.at().map(millis), matches!(expiry, Expiry::Idle(_)))
}

/// An address as the table has it.
pub(crate) const fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address of [`address_bytes`].
pub(crate) fn address(bytes: [u8; 16]) -> IpAddr {
    IpAddr::from(bytes).to_canonical()
}

pub(crate) fn algorithm_names(key: &PublicKey) -> String {
    let names: Vec<_> = key.algorithms().iter().map(|algorithm| algorithm.name()).collect();
    names.join(" ")
}

/// The same key, restricted to the algorithms that its owner registered it for.
fn narrow(key: PublicKey, names: &str) -> Result<PublicKey, &'static str> {
    if algorithm_names(&key) == names {
        return Ok(key);
    }
    let refused = "not algorithms of this key";
    let algorithm = Algorithm::from_name(names).ok_or(refused)?;
    let mut jwk = key.to_jwk();
    jwk.insert("alg".to_owned(), Value::from(algorithm.name()));
    PublicKey::from_jwk(&jwk, &KeyPolicy::ANY).map_err(|_| refused)
}
