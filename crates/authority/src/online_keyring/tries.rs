//! How often keyrings are tried: strangers count by their client network and by the name that they try, and
//! keys of the account by themselves and all together.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use countersign_protocol::{AccountId, ClientNetwork, UnixTime, digest::sha256, keys::Thumbprint};
use thiserror::Error;

use super::{OnlineKeyring, sealed_texts::take};
use crate::{
    core::credential_cache::KnownCredential,
    model::{
        keyring::Knowledge,
        limits::{LimitKey, NotAdmitted, RateLimit},
        policy::Limits,
    },
    ports::RateLimiter,
};

/// For how long a key is new. A thief of one key can add others, so all that are new count as one.
const NEW: Duration = Duration::from_hours(24);

/// Whose tries a login counts among.
#[derive(Clone, Copy)]
pub(super) enum Tries {
    /// Those of the key that the proof is by. It is a live key of the account, so strangers cannot use up
    /// its allowance.
    Key(AccountId),
    /// Those of all keys of the account that are new, of which it is by one.
    NewKeys(AccountId),
    /// Those of anybody at that client network. Those for a password count by the name too, which is here by
    /// its hash; those for a recovery code do not: nobody guesses 160 bits, and strangers must not keep its
    /// owner out.
    Stranger(ClientNetwork, Option<[u8; 32]>),
}

/// Something that a try counts against.
#[derive(Clone, Copy)]
enum Count {
    Network(ClientNetwork),
    NameAtNetwork([u8; 32]),
    NameFromEverywhere([u8; 32]),
    Key(Thumbprint),
    NewKeys(AccountId),
    Account(AccountId),
}

impl OnlineKeyring {
    /// Counts a try by `key`.
    ///
    /// # Errors
    /// When there were too many, or nobody knows; then it is not counted.
    pub(super) async fn count<E>(&self, tries: Tries, key: Thumbprint) -> Result<(), E>
    where
        E: From<NotAdmitted> + From<TooManyTries>,
    {
        let Some(limits) = &self.core.policy.limits else { return Ok(()) };
        let now = self.core.ports.clock.monotonic();
        let counts = tries.counts(key);
        for (place, &count) in counts.iter().enumerate() {
            let (limit, limit_key) = count.allowance(limits);
            if let Err(refused) = self.counter(count).take(limit, limit_key, now).await {
                self.uncount(&counts[..place]).await;
                return Err(match refused {
                    NotAdmitted::TooMany { retry_after } => {
                        count.refusal(limit.burst, retry_after).into()
                    }
                    NotAdmitted::Unavailable => refused.into(),
                });
            }
        }
        Ok(())
    }

    /// Undoes [`Self::count`].
    pub(super) async fn give_back(&self, tries: Tries, key: Thumbprint) {
        self.uncount(&tries.counts(key)).await;
    }

    async fn uncount(&self, counts: &[Count]) {
        let Some(limits) = &self.core.policy.limits else { return };
        for &count in counts {
            let (limit, key) = count.allowance(limits);
            self.counter(count).give_back(limit, key).await;
        }
    }

    /// What counts it. Names and keys are counted apart from other limits, by what forgets none of them to
    /// make room. A client network may be forgotten, where there are more than can be counted: a flood from
    /// other networks must keep nobody out who has a recovery code.
    fn counter(&self, count: Count) -> &dyn RateLimiter {
        let state = &self.core.ports.state;
        match count {
            Count::Network(_) => &*state.rate_limiter,
            Count::NameAtNetwork(_)
            | Count::NameFromEverywhere(_)
            | Count::Key(_)
            | Count::NewKeys(_)
            | Count::Account(_) => &*state.keyring_tries,
        }
    }
}

impl Tries {
    /// Those of `known`, a live key of the account, at `now`.
    pub(super) fn of_key(known: &KnownCredential, now: UnixTime) -> Self {
        let account = known.account.id;
        if now < known.credential.created_at + NEW {
            Self::NewKeys(account)
        } else {
            Self::Key(account)
        }
    }

    /// Those of anybody at `address` who claims to know what opens the keyring of `username`.
    pub(super) fn of_stranger(username: &str, knowledge: Knowledge, address: IpAddr) -> Self {
        let name = match knowledge {
            Knowledge::Password => {
                Some(sha256(&[b"keyring\0", username.to_ascii_lowercase().as_bytes()]))
            }
            Knowledge::Recovery => None,
        };
        Self::Stranger(address.into(), name)
    }

    /// What they count against, in that order. `key` is the one that the proof is by.
    ///
    /// The client network comes before the names, so that one network neither fills the places of names
    /// nor guesses at many.
    fn counts(self, key: Thumbprint) -> Vec<Count> {
        match self {
            Self::Key(account) => vec![Count::Key(key), Count::Account(account)],
            Self::NewKeys(account) => vec![Count::NewKeys(account), Count::Account(account)],
            Self::Stranger(network, None) => vec![Count::Network(network)],
            Self::Stranger(network, Some(name)) => {
                let here = sha256(&[&name, network.to_string().as_bytes()]);
                vec![
                    Count::Network(network),
                    Count::NameAtNetwork(here),
                    Count::NameFromEverywhere(name),
                ]
            }
        }
    }

    /// All have the same length, because the length of a state must tell nothing.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (kind, id, name) = match self {
            Self::Key(account) => (0, *account.as_bytes(), [0; 32]),
            Self::NewKeys(account) => (1, *account.as_bytes(), [0; 32]),
            Self::Stranger(network, None) => (2, network_bytes(network), [0; 32]),
            Self::Stranger(network, Some(name)) => (3, network_bytes(network), name),
        };
        [&[kind][..], &id, &name].concat()
    }

    /// Reads what [`Self::to_bytes`] gave.
    pub(super) fn from_bytes(bytes: &mut &[u8]) -> Option<Self> {
        let ([kind], id, name) = (take(bytes)?, take::<16>(bytes)?, take(bytes)?);
        let network = ClientNetwork::from(IpAddr::V6(Ipv6Addr::from_octets(id)));
        match kind {
            0 => Some(Self::Key(AccountId::from_bytes(id))),
            1 => Some(Self::NewKeys(AccountId::from_bytes(id))),
            2 => Some(Self::Stranger(network, None)),
            3 => Some(Self::Stranger(network, Some(name))),
            _ => None,
        }
    }
}

/// The address of a network as IPv6.
const fn network_bytes(network: ClientNetwork) -> [u8; 16] {
    match network.address() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl Count {
    /// The limit, and whose allowance under it.
    const fn allowance(self, limits: &Limits) -> (&RateLimit, LimitKey) {
        match self {
            Self::Network(network) => {
                (&limits.keyring_tries_of_network, LimitKey::Network(network))
            }
            Self::NameAtNetwork(hash) => (&limits.keyring_tries, LimitKey::NameAt(hash)),
            Self::NameFromEverywhere(hash) => {
                (&limits.keyring_tries_from_everywhere, LimitKey::Name(hash))
            }
            Self::Key(key) => (&limits.keyring_tries, LimitKey::Key(key)),
            Self::NewKeys(account) => (&limits.keyring_tries, LimitKey::Account(account)),
            Self::Account(account) => {
                (&limits.keyring_tries_of_account, LimitKey::Account(account))
            }
        }
    }

    const fn refusal(self, burst: u32, retry_after: Duration) -> TooManyTries {
        let by = match self {
            Self::Network(_) => TriedBy::Network,
            Self::NameAtNetwork(_) => TriedBy::NameAtNetwork,
            Self::NameFromEverywhere(_) => TriedBy::NameFromEverywhere,
            Self::Key(_) => TriedBy::Key,
            Self::NewKeys(_) => TriedBy::NewKeys,
            Self::Account(_) => TriedBy::Account,
        };
        TooManyTries { by, burst, retry_after }
    }
}

/// There were too many tries at online keyrings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{by} may try an online keyring {burst} times an hour without opening it, and fewer in the half hour \
     after the server's start ({})",
    by.setting()
)]
pub struct TooManyTries {
    /// Who has made them.
    pub by: TriedBy,
    /// How many an hour there may be.
    pub burst: u32,
    /// When the next one will be allowed.
    pub retry_after: Duration,
}

/// Who has tried too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriedBy {
    /// Strangers at a client network, at any names.
    Network,
    /// Strangers at a client network, at one name.
    NameAtNetwork,
    /// Strangers from everywhere, at one name.
    NameFromEverywhere,
    /// A key of the account.
    Key,
    /// Keys of the account that are new.
    NewKeys,
    /// All keys of the account.
    Account,
}

impl TriedBy {
    /// The setting that says how often.
    const fn setting(self) -> &'static str {
        match self {
            Self::Network => "rate_limits.keyring_tries_of_network",
            Self::NameAtNetwork | Self::Key | Self::NewKeys => "rate_limits.keyring_tries",
            Self::NameFromEverywhere => "rate_limits.keyring_tries_from_everywhere",
            Self::Account => "rate_limits.keyring_tries_of_account",
        }
    }
}

impl fmt::Display for TriedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "all clients of one network, without a key of the account,",
            Self::NameAtNetwork => {
                "for one name, clients of one network without a key of the account"
            }
            Self::NameFromEverywhere => {
                "for one name, clients of all networks without a key of the account"
            }
            Self::Key => "a key of the account",
            Self::NewKeys => "the keys of an account that are younger than a day, all together,",
            Self::Account => "the keys of an account, all together,",
        })
    }
}
