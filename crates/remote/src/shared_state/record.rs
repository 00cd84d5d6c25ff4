//! One used proof, as it lies in the file.

use std::net::{IpAddr, Ipv6Addr};

use countersign_protocol::{AccountId, ReplayEntry, UnixTime, replay::ReplayOwner};

/// How many bytes a used proof takes. A page holds a whole number of them, so none lies in two.
pub(super) const SLOT: usize = 64;
/// How much of the digest is kept, as [`countersign_protocol::replay::MemoryReplayLog`] does.
const DIGEST: usize = 16;
/// Where the end of the entry lies.
const END: usize = DIGEST + 8;

/// Where the kind of owner lies, and the owner's account and network.
const KIND: usize = END;
const ACCOUNT: usize = KIND + 1;
const NETWORK: usize = ACCOUNT + 16;

/// A used proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) entry: ReplayEntry,
    pub(super) owner: ReplayOwner,
}

impl Record {
    /// What [`Self::write`] wrote; `None` for what it never writes.
    pub(super) fn read(bytes: &[u8; SLOT]) -> Option<Self> {
        let account = AccountId::from_bytes(part(bytes, ACCOUNT));
        let network = IpAddr::from(Ipv6Addr::from(part(bytes, NETWORK))).into();
        let owner = match bytes[KIND] {
            1 => ReplayOwner::Account(account),
            2 => ReplayOwner::Network(network),
            3 => ReplayOwner::Both(account, network),
            _ => return None,
        };
        let mut digest = [0; 32];
        digest[..DIGEST].copy_from_slice(&bytes[..DIGEST]);
        Some(Self { entry: ReplayEntry { digest, forget_at: end(bytes) }, owner })
    }

    pub(super) fn write(&self, bytes: &mut [u8; SLOT]) {
        bytes[..DIGEST].copy_from_slice(&self.entry.digest[..DIGEST]);
        bytes[DIGEST..END].copy_from_slice(&self.entry.forget_at.as_millis().to_le_bytes());
        let (kind, account, network) = match self.owner {
            ReplayOwner::Account(account) => (1, Some(account), None),
            ReplayOwner::Network(network) => (2, None, Some(network)),
            ReplayOwner::Both(account, network) => (3, Some(account), Some(network)),
        };
        bytes[KIND] = kind;
        if let Some(account) = account {
            bytes[ACCOUNT..NETWORK].copy_from_slice(account.as_bytes());
        }
        if let Some(network) = network {
            let address = match network.address() {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            bytes[NETWORK..NETWORK + 16].copy_from_slice(&address.octets());
        }
    }
}

/// When the entry in a slot ends.
pub(super) fn end(bytes: &[u8; SLOT]) -> UnixTime {
    UnixTime::from_millis(u64::from_le_bytes(part(bytes, DIGEST)))
}

fn part<const N: usize>(bytes: &[u8; SLOT], from: usize) -> [u8; N] {
    std::array::from_fn(|place| bytes[from + place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let account = AccountId::from_bytes([7; 16]);
        let networks =
            ["192.0.2.1", "2001:db8::"].map(|text| text.parse::<IpAddr>().unwrap().into());
        let owners = [
            ReplayOwner::Account(account),
            ReplayOwner::Network(networks[0]),
            ReplayOwner::Both(account, networks[1]),
        ];
        for owner in owners {
            let mut digest = [0; 32];
            digest[..DIGEST].fill(9);
            let entry = ReplayEntry { digest, forget_at: UnixTime::from_secs(1_700_000_000) };
            let mut bytes = [0; SLOT];
            Record { entry, owner }.write(&mut bytes);
            assert_eq!(Record::read(&bytes), Some(Record { entry, owner }));
        }
        assert_eq!(Record::read(&[0; SLOT]), None);
    }
}
