//! Where keys are used: the present client network of each, and the latest few before.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use crate::sql::Connection;
use countersign_authority::model::{
    audit::{AuditEvent, EventKind, Fact},
    credential_kind::CredentialKind,
};
use countersign_protocol::{AccountId, ClientNetwork, UnixTime, keys::Thumbprint};

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
    let event = event.fact(Fact::Network, here.to_string());
    let event = event.fact(Fact::NetworkBefore, last.to_string());
    audit::record(connection, &event.detail(format!("{here}; before from {last}")))
}

/// Remembers the network that the key was in until now.
fn leave(connection: &Connection, this: Use, last: ClientNetwork) -> Result<(), DbError> {
    let thumbprint = this.thumbprint.as_bytes();
    let upsert = "INSERT INTO key_places(thumbprint, network, left_at) VALUES (?, ?, ?)
        ON CONFLICT(thumbprint, network) DO UPDATE SET left_at = excluded.left_at";
    rows::execute(connection, upsert, (thumbprint, last.to_string(), millis(this.at)))?;
    let beyond = "DELETE FROM key_places WHERE thumbprint = ?1 AND network IN
        (SELECT network FROM key_places WHERE thumbprint = ?1 ORDER BY left_at DESC, network
         LIMIT 1000 OFFSET ?2)";
    rows::execute(connection, beyond, (thumbprint, REMEMBERED)).map(drop)
}

/// How exact the time of last use is, when a key is used without a login: a key that signs all the
/// time costs a page of its own once in this time, and not with each batch.
const USE_RESOLUTION: Duration = Duration::from_mins(10);

/// What is known of a key that was used.
struct Seen {
    user_id: i64,
    used_at: Option<UnixTime>,
    address: Option<IpAddr>,
    kind: CredentialKind,
}

/// Notes when and where keys were used without a login, as the trail tells it. The rows of keys are taken in
/// the order in which logins take them, so that neither waits for the other.
pub(super) fn note_all(connection: &Connection, uses: &[AuditEvent]) -> Result<(), DbError> {
    let mut of_keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in uses {
        let AuditEvent { account_id: Some(account_id), thumbprint: Some(thumbprint), .. } = *event
        else {
            continue;
        };
        if let Some(Seen { user_id, .. }) = seen(connection, &thumbprint)? {
            let key = (user_id, *thumbprint.as_bytes());
            of_keys.entry(key).or_default().push((account_id, thumbprint, event));
        }
    }
    for (account_id, thumbprint, event) in of_keys.into_values().flatten() {
        note(connection, account_id, thumbprint, event)?;
    }
    Ok(())
}

fn note(
    connection: &Connection,
    account_id: AccountId,
    thumbprint: Thumbprint,
    event: &AuditEvent,
) -> Result<(), DbError> {
    // It may have moved with an earlier one.
    let Some(seen) = seen(connection, &thumbprint)? else { return Ok(()) };
    let at = event.last_at();
    let network = |address: Option<IpAddr>| address.map(ClientNetwork::from);
    let moved = event.address.filter(|_| network(event.address) != network(seen.address));
    if let Some(address) = moved {
        arrive(connection, Use { account_id, thumbprint, address, at }, seen.address)?;
    }
    // With a token that a passkey got, the key of the browser signs, and nobody touched the passkey.
    let signed = seen.kind != CredentialKind::Passkey;
    let used_at = signed.then(|| seen.used_at.map_or(at, |before| before.max(at)));
    let is_news = signed && seen.used_at.is_none_or(|before| before + USE_RESOLUTION <= at);
    if moved.is_none() && !is_news {
        return Ok(());
    }
    let update = "UPDATE credentials SET last_address = coalesce(?, last_address),
        last_used_at = coalesce(?, last_used_at) WHERE thumbprint = ?";
    let address = event.address.map(address_bytes);
    let values = (address, used_at.map(millis), thumbprint.as_bytes());
    rows::execute(connection, update, values).map(drop)
}

fn seen(connection: &Connection, thumbprint: &Thumbprint) -> Result<Option<Seen>, DbError> {
    let select = "SELECT user_id, last_used_at, last_address, kind FROM credentials
        WHERE thumbprint = ? AND revoked_at IS NULL";
    rows::first(connection, select, [thumbprint.as_bytes()], |row| {
        let mut columns = Columns::new(row, "credentials", 0);
        Ok(Seen {
            user_id: columns.plain("user_id")?,
            used_at: columns.optional_time("last_used_at")?,
            address: columns.optional_bytes("last_address")?.map(address),
            kind: columns.parse("kind")?,
        })
    })
}
