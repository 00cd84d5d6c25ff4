//! Where keys are used: the present client network of each, and the latest few before.

use std::net::IpAddr;

use countersign_authority::model::audit::{AuditEvent, EventKind};
use countersign_protocol::{AccountId, ClientNetwork, UnixTime, keys::Thumbprint};
use rusqlite::Connection;

use super::{
    audit,
    error::DbError,
    rows::{
        self, Columns,
        credentials::{address, address_bytes},
        millis,
    },
};

/// How many earlier networks of a key are remembered. A key that roams further is a new sight in each.
const REMEMBERED: u32 = 16;

/// A use of a key.
#[derive(Clone, Copy)]
pub(super) struct Use {
    pub(super) account_id: AccountId,
    pub(super) thumbprint: Thumbprint,
    pub(super) address: IpAddr,
    pub(super) at: UnixTime,
}

/// Says in the trail that a key which was used from `last` before is used from another network, unless
/// it was there already. The row of the key itself is the caller's.
pub(super) fn arrive(
    connection: &Connection,
    this: Use,
    last: Option<IpAddr>,
) -> Result<(), DbError> {
    let Some(last) = last.map(ClientNetwork::from) else { return Ok(()) };
    let here = ClientNetwork::from(this.address);
    if last == here {
        return Ok(());
    }
    let thumbprint = this.thumbprint.as_bytes();
    let select = "SELECT 1 FROM key_places WHERE thumbprint = ? AND network = ?";
    let was_here =
        rows::first(connection, select, (thumbprint, here.to_string()), |_| Ok(()))?.is_some();
    leave(connection, this, last)?;
    if was_here {
        return Ok(());
    }
    let event = AuditEvent::new(this.at, EventKind::KeyUsedFromNewPlace).account(this.account_id);
    let event = event.key(this.thumbprint).from(this.address);
    audit::record(connection, &event.detail(format!("{here}; before from {last}")))
}

/// Remembers the network that the key was in until now.
fn leave(connection: &Connection, this: Use, last: ClientNetwork) -> Result<(), DbError> {
    let thumbprint = this.thumbprint.as_bytes();
    let upsert = "INSERT INTO key_places(thumbprint, network, left_at) VALUES (?, ?, ?)
        ON CONFLICT DO UPDATE SET left_at = excluded.left_at";
    rows::execute(connection, upsert, (thumbprint, last.to_string(), millis(this.at)))?;
    let beyond = "DELETE FROM key_places WHERE thumbprint = ?1 AND network IN
        (SELECT network FROM key_places WHERE thumbprint = ?1 ORDER BY left_at DESC, network
         LIMIT -1 OFFSET ?2)";
    rows::execute(connection, beyond, (thumbprint, REMEMBERED)).map(drop)
}

/// Notes where a key was used without a login, as the trail tells it.
pub(super) fn note(connection: &Connection, event: &AuditEvent) -> Result<(), DbError> {
    let AuditEvent { account_id: Some(account_id), thumbprint: Some(thumbprint), .. } = *event
    else {
        return Ok(());
    };
    let Some(here) = event.address else { return Ok(()) };
    let select = "SELECT last_address FROM credentials WHERE thumbprint = ? AND revoked_at IS NULL";
    let found = rows::first(connection, select, [thumbprint.as_bytes()], |row| {
        Ok(Columns::new(row, "credentials", 0).optional_bytes("last_address")?.map(address))
    })?;
    let Some(last) = found else { return Ok(()) };
    let network = Some(ClientNetwork::from(here));
    if last.map(ClientNetwork::from) == network {
        return Ok(());
    }
    let this = Use { account_id, thumbprint, address: here, at: event.last_at() };
    arrive(connection, this, last)?;
    let update = "UPDATE credentials SET last_address = ? WHERE thumbprint = ?";
    rows::execute(connection, update, (address_bytes(here), thumbprint.as_bytes())).map(drop)
}
