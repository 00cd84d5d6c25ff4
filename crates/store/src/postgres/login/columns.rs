//! Logins as columns, an array each.

use std::net::IpAddr;

use countersign_authority::ports::LoginRecord;
use countersign_protocol::{AccountId, ClientNetwork, keys::Thumbprint};
use tokio_postgres::types::{ToSql, Type};

use crate::{
    rows::{credentials::address_bytes, millis, timestamp},
    rules::audit,
};

/// The parameters of the statement.
#[derive(Default)]
pub(super) struct Logins<'a> {
    numbers: Vec<i64>,
    thumbprints: Vec<&'a [u8]>,
    account_ids: Vec<&'a [u8]>,
    times: Vec<i64>,
    networks: Vec<Option<Vec<u8>>>,
    digests: Vec<&'a [u8]>,
    forget_at: Vec<i64>,
    last_addresses: Vec<Option<Vec<u8>>>,
    timestamps: Vec<String>,
    kinds: Vec<&'static str>,
    about_accounts: Vec<Option<&'a [u8]>>,
    about_keys: Vec<Option<&'a [u8]>>,
    addresses: Vec<Option<String>>,
    details: Vec<Option<&'a str>>,
    facts: Vec<Option<String>>,
}

impl<'a> Logins<'a> {
    /// Of these, numbered in their order.
    pub(super) fn of(logins: &[&'a LoginRecord]) -> Self {
        let mut columns = Self::default();
        for (number, login) in (0..).zip(logins) {
            columns.add(number, login);
        }
        columns
    }

    fn add(&mut self, number: i64, login: &'a LoginRecord) {
        let LoginRecord { account_id, thumbprint, assertion, event, .. } = login;
        self.numbers.push(number);
        self.thumbprints.push(thumbprint.as_bytes());
        self.account_ids.push(account_id.as_bytes());
        self.times.push(millis(event.at));
        self.networks.push(event.address.and_then(network));
        self.digests.push(&assertion.digest);
        self.forget_at.push(millis(assertion.forget_at));
        self.last_addresses.push(event.address.map(|address| address_bytes(address).to_vec()));
        self.timestamps.push(timestamp(event.at).to_string());
        self.kinds.push(event.kind.name());
        self.about_accounts
            .push(event.account_id.as_ref().map(|id| AccountId::as_bytes(id).as_slice()));
        self.about_keys
            .push(event.thumbprint.as_ref().map(|key| Thumbprint::as_bytes(key).as_slice()));
        self.addresses.push(event.address.map(|address| address.to_string()));
        self.details.push(event.detail.as_deref());
        self.facts.push(audit::facts(event));
    }

    /// The columns in the order of the statement.
    pub(super) fn params(&self) -> [(&(dyn ToSql + Sync), Type); 15] {
        [
            (&self.numbers, Type::INT8_ARRAY),
            (&self.thumbprints, Type::BYTEA_ARRAY),
            (&self.account_ids, Type::BYTEA_ARRAY),
            (&self.times, Type::INT8_ARRAY),
            (&self.networks, Type::BYTEA_ARRAY),
            (&self.digests, Type::BYTEA_ARRAY),
            (&self.forget_at, Type::INT8_ARRAY),
            (&self.last_addresses, Type::BYTEA_ARRAY),
            (&self.timestamps, Type::TEXT_ARRAY),
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.about_accounts, Type::BYTEA_ARRAY),
            (&self.about_keys, Type::BYTEA_ARRAY),
            (&self.addresses, Type::TEXT_ARRAY),
            (&self.details, Type::TEXT_ARRAY),
            (&self.facts, Type::TEXT_ARRAY),
        ]
    }
}

/// Whether nothing in the login itself says that the rules must decide.
pub(super) fn may_be_ordinary(login: &LoginRecord) -> bool {
    login.renewal.is_none()
        && login.event.kind.budget().told_together_for().is_none()
        && login.event.address.is_none_or(|address| network(address).is_some())
}

/// What the addresses of a network begin with, as the table has them. `None` for the network that all IPv4
/// addresses seem to be in.
fn network(address: IpAddr) -> Option<Vec<u8>> {
    let first = ClientNetwork::from(address).address();
    let bytes = address_bytes(first);
    let length = if first.is_ipv4() { 16 } else { 8 };
    let network = &bytes[..length];
    network.iter().any(|byte| *byte != 0).then(|| network.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_begin_alike_and_others_do_not() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let is_in = |of: &str, other: &str| {
            network(address(of))
                .is_some_and(|begin| address_bytes(address(other)).starts_with(&begin))
        };
        assert!(is_in("192.0.2.1", "192.0.2.1"));
        assert!(!is_in("192.0.2.1", "192.0.2.2"));
        assert!(is_in("2001:db8::1", "2001:db8::2"));
        assert!(!is_in("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!is_in("2001:db8::1", "192.0.2.1"));
        assert_eq!(network(address("::1")), None, "it would be that of 192.0.2.1 too");
    }
}
