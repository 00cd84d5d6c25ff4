//! The policy of a server: what it allows, for how long, and how much of it.

use std::{str::FromStr, time::Duration};

use countersign_protocol::{
    Scopes,
    keys::{Algorithm, KeyPolicy, PublicKey},
    proofs::{dpop::ProofWindow, target_uri::TargetUri},
    wire,
};
use thiserror::Error;

use crate::model::{
    credential::BrowserLives,
    credential_kind::CredentialKind,
    key_life::{KeySchedule, Schedule, Signs},
    keyring::KeyringPolicy,
    limits::{RateLimit, Retention, TurnLimits},
    names::NamePolicy,
    passkey::PasskeyPolicy,
};

/// The policy of a server.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The public origin, which is the issuer identifier too.
    pub origin: TargetUri,
    /// How accounts come to be.
    pub enrolment: Enrolment,
    /// The scopes of a new account.
    pub default_scopes: Scopes,
    /// Which names are given by invitation alone.
    pub names: NamePolicy,
    /// How long an account may wait to be used for the first time, if anybody could make it.
    pub unused_account_lifetime: Duration,
    /// How many live keys an account may have, besides browsers and passkeys.
    pub max_keys_per_account: usize,
    /// How many browsers of an account may be remembered. Another takes the place of the one that was
    /// used longest ago.
    pub max_browsers_per_account: usize,
    /// How many live passkeys an account may have.
    pub max_passkeys_per_account: usize,
    /// For how long browsers are remembered.
    pub browser_lives: BrowserLives,
    /// How many keys an account may ever revoke. The thumbprint of each is kept for ever.
    pub max_revoked_keys_per_account: usize,
    /// Which keys may be registered and sign proofs.
    pub keys: KeyPolicy,
    /// About access tokens.
    pub tokens: TokenPolicy,
    /// How old and how far ahead a DPoP proof may be.
    pub proof_window: ProofWindow,
    /// How long a nonce may be used.
    pub nonce_lifetime: Duration,
    /// How far the clocks of clients may be off.
    pub skew: Duration,
    /// About signing keys.
    pub signing_keys: KeySchedule,
    /// About mutual challenge and response.
    pub mutual: MutualPolicy,
    /// About online keyrings.
    pub keyrings: KeyringPolicy,
    /// Which passkeys are taken; `None` where there are none.
    pub passkeys: Option<PasskeyPolicy>,
    /// About passwords; `None` where no account may have one.
    pub passwords: Option<PasswordPolicy>,
    /// About sessions whose requests are signed messages.
    pub sessions: SessionPolicy,
    /// How much of the audit trail is kept.
    pub retention: Retention,
    /// How often clients may do what; `None` switches all limits off.
    pub limits: Option<Limits>,
    /// How many credentials are kept in memory.
    pub credential_cache: usize,
    /// How long ago what others changed may have been heard of for the last time, for memory to say what
    /// still counts.
    pub max_staleness: Duration,
}

impl Policy {
    /// The defaults for a server at `origin`.
    pub fn new(origin: TargetUri) -> Self {
        Self {
            passkeys: PasskeyPolicy::of_issuer(&origin),
            origin,
            enrolment: Enrolment::Open,
            default_scopes: Scopes::none(),
            names: NamePolicy::default(),
            unused_account_lifetime: Duration::from_hours(24 * 7),
            max_keys_per_account: 16,
            max_browsers_per_account: 16,
            max_passkeys_per_account: 16,
            browser_lives: BrowserLives::default(),
            max_revoked_keys_per_account: 10_000,
            keys: KeyPolicy::default(),
            tokens: TokenPolicy::default(),
            proof_window: ProofWindow::default(),
            nonce_lifetime: Duration::from_mins(5),
            skew: Duration::from_secs(5),
            signing_keys: KeySchedule::default(),
            mutual: MutualPolicy::default(),
            keyrings: KeyringPolicy::default(),
            passwords: None,
            sessions: SessionPolicy::default(),
            retention: Retention {
                max_age: Duration::from_hours(24 * 90),
                max_events: 1_000_000,
                max_refusals: 100_000,
                max_uses: 500_000,
            },
            limits: Some(Limits::default()),
            credential_cache: 100_000,
            max_staleness: Duration::from_secs(10),
        }
    }

    /// The schedules of signing keys: for access tokens, and for the tokens of passwords if there
    /// are passwords.
    pub fn key_schedules(&self) -> impl Iterator<Item = Schedule> + use<> {
        // A minute more than any verifier's clock should be off.
        let tokens_live = self.tokens.lifetime + self.skew + Duration::from_mins(1);
        let clock_tolerance = self.skew;
        let native = Schedule {
            signs: Signs::AccessTokens,
            lives: self.signing_keys,
            keep_expired: false,
            tokens_live,
            clock_tolerance,
        };
        let passwords = self.passwords.as_ref().map(|passwords| Schedule {
            signs: Signs::PasswordTokens,
            lives: passwords.signing_keys,
            keep_expired: true,
            tokens_live,
            clock_tolerance,
        });
        std::iter::once(native).chain(passwords)
    }

    /// The issuer identifier (RFC 8414 §2).
    pub fn issuer(&self) -> &str {
        self.origin.origin()
    }

    /// Whether `key` is good enough for everything. A key that is not was registered under another
    /// policy and cannot be used, or was registered for mutual challenge and response and can be
    /// used only for that.
    pub fn admits(&self, key: &PublicKey) -> bool {
        key.meets(&self.keys).is_ok()
    }

    /// Which keys sealed registration accepts. Accounts that came by it sign their own JWTs with
    /// these keys; for everything else [`Self::keys`] decides.
    pub fn sealed_keys(&self) -> KeyPolicy {
        self.keys.clone().by_whole_bytes()
    }

    /// How many live credentials of that kind an account may have.
    pub const fn max_per_account(&self, kind: CredentialKind) -> usize {
        match kind {
            CredentialKind::Key => self.max_keys_per_account,
            CredentialKind::Browser => self.max_browsers_per_account,
            // An account gets one with its registration, and never another.
            CredentialKind::Mutual => 1,
            CredentialKind::Passkey => self.max_passkeys_per_account,
        }
    }

    /// The URL of the token endpoint.
    pub fn token_endpoint(&self) -> String {
        [self.issuer(), wire::path::TOKEN].concat()
    }
}

/// How accounts come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// Anybody may register.
    Open,
    /// Only people with a one-time code from an administrator.
    Invited,
    /// Nobody.
    Closed,
}

impl FromStr for Enrolment {
    type Err = UnknownEnrolment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "open" => Ok(Self::Open),
            "invited" => Ok(Self::Invited),
            "closed" => Ok(Self::Closed),
            _ => Err(UnknownEnrolment),
        }
    }
}

/// Not a rule of enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("enrolment is one of open, invited, closed")]
pub struct UnknownEnrolment;

/// About access tokens.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// How long a token lives, whichever login it is for.
    pub lifetime: Duration,
    /// How far ahead the `exp` of an assertion may lie.
    pub max_assertion_lifetime: Duration,
    /// The resource servers, besides this server itself, that a client may ask a token for
    /// (RFC 8707).
    pub resources: Vec<String>,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_mins(15),
            max_assertion_lifetime: Duration::from_mins(5),
            resources: Vec::new(),
        }
    }
}

/// About mutual challenge and response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutualPolicy {
    /// The smallest modulus, in bits, of an RSA key that may be registered for it.
    pub min_rsa_bits: u32,
    /// How many key pairs are kept ready for new accounts, since making one takes long.
    pub keys_ready: usize,
    /// How many key pairs may be made at once, and waited for.
    pub turns: TurnLimits,
}

impl Default for MutualPolicy {
    fn default() -> Self {
        Self {
            min_rsa_bits: 2048,
            keys_ready: 8,
            turns: TurnLimits { at_once: 1, waiting: 256, each: 12 },
        }
    }
}

/// About passwords and the tokens that they get.
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicy {
    /// Whether a client address may try at most ten times in any one second.
    pub rate_limit: bool,
    /// The lives of the RS256 keys that sign the tokens. No token outlives its key.
    pub signing_keys: KeySchedule,
    /// How many passwords may be hashed at once, each in 64 MiB, and how many may wait for it. If
    /// none may be hashed, the server lacks the memory, and a login by password is told so.
    pub turns: TurnLimits,
}

impl Default for PasswordPolicy {
    /// A key lives for an hour: it signs for the first half, and its signatures verify until the
    /// end.
    fn default() -> Self {
        let signing_keys = KeySchedule {
            algorithm: Algorithm::Rs256,
            active: Duration::from_mins(30),
            publish_ahead: Duration::from_mins(20),
            keep_after: Duration::from_mins(30),
        };
        let turns = TurnLimits { at_once: 1, waiting: 256, each: 12 };
        Self { rate_limit: true, signing_keys, turns }
    }
}

/// About sessions whose requests are signed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// How long a session lives.
    pub lifetime: Duration,
    /// How long a nonce may be used.
    pub nonce_lifetime: Duration,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self { lifetime: Duration::from_mins(30), nonce_lifetime: Duration::from_secs(30) }
    }
}

/// How often clients may do what. The defaults are beyond what honest use ever meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Any request, by client address, except requests of the upkeep.
    pub requests: RateLimit,
    /// Requests by guards elsewhere for data that they need for all their own requests (signing
    /// keys, revocations, metadata), by client address. Strangers at the same address must not use
    /// this up.
    pub upkeep: RateLimit,
    /// Registrations, by client address. Those by invitation do not count, here and below.
    pub registrations: RateLimit,
    /// The same for a whole day: it bounds how much a stranger can make the database grow.
    pub registrations_per_day: RateLimit,
    /// Registrations for which the server hashes a password or makes a key pair, which costs it a
    /// hundred times as much as others, by client network; besides [`Self::registrations`].
    pub costly_registrations: RateLimit,
    /// Login attempts and calls that authenticate by assertion, by client address.
    pub logins: RateLimit,
    /// Logins that were proven, by account. Unproven ones do not count, or anybody could lock an account
    /// out, and nothing else does, or who has less than a key could keep the owner from logging in.
    pub account: RateLimit,
    /// Changes of keys and requests for the online keyring, by the key that signs them, which may be that of
    /// one session.
    pub key: RateLimit,
    /// Keys added and renamed in a day, by account: it bounds how much an account can make the
    /// database grow. Revoked keys do not count: each was added before, and a thief of a key must
    /// not use up what the owner needs to revoke it.
    pub key_changes_per_day: RateLimit,
    /// The same, by client network.
    pub key_changes_of_network_per_day: RateLimit,
    /// Wrong one-time passwords, by client address.
    pub guesses_from_address: RateLimit,
    /// Wrong recovery codes, by client network. Right ones never count.
    pub recovery_failures: RateLimit,
    /// Keys that the account revokes, by the signing key: whatever a thief has used up with one
    /// key, the owner can still revoke that key with another.
    pub withdrawals: RateLimit,
    /// Wrong one-time passwords, by the name that they were tried with and the client network.
    pub guesses_at_name: RateLimit,
    /// The same from everywhere, by the name alone. Beyond it, everybody who tries that name waits
    /// a second for the answer, but nobody is refused.
    pub guesses_at_name_from_everywhere: RateLimit,
    /// Tries to open an online keyring with its password, in an hour: of strangers, by the name and the
    /// client network; of a live key of the account, by the key, where those that are new count as one. One
    /// that succeeds does not count, here and below.
    pub keyring_tries: RateLimit,
    /// Tries of strangers from everywhere, by the name alone.
    pub keyring_tries_from_everywhere: RateLimit,
    /// Tries of strangers at all names, and with recovery codes, by the client network.
    pub keyring_tries_of_network: RateLimit,
    /// Tries of all live keys of an account together, by the account.
    pub keyring_tries_of_account: RateLimit,
    /// What is written of an account's online keyring in a day, in KiB.
    pub keyring_kib_per_day: RateLimit,
    /// The same of all young accounts of a client network: it bounds how much the accounts that somebody
    /// makes can make the database grow.
    pub keyring_kib_of_network_per_day: RateLimit,
}

impl Default for Limits {
    fn default() -> Self {
        let per_minute = |name, burst| RateLimit { name, burst, period: Duration::from_mins(1) };
        let per_hour = |name, burst| RateLimit { name, burst, period: Duration::from_hours(1) };
        let per_day = |name, burst| RateLimit { name, burst, period: Duration::from_hours(24) };
        Self {
            requests: per_minute("requests", 60_000),
            upkeep: per_minute("upkeep", 12_000),
            registrations: per_minute("registrations", 1_200),
            registrations_per_day: per_day("registrations-per-day", 10_000),
            costly_registrations: per_minute("costly-registrations", 120),
            logins: per_minute("logins", 3_000),
            account: per_minute("account", 600),
            key: per_minute("key", 600),
            key_changes_per_day: per_day("key-changes-per-day", 200),
            key_changes_of_network_per_day: per_day("key-changes-of-network-per-day", 2_000),
            guesses_from_address: per_minute("guesses-from-address", 60),
            recovery_failures: per_minute("recovery-failures", 60),
            withdrawals: per_minute("withdrawals", 600),
            guesses_at_name: per_minute("guesses-at-name", 10),
            guesses_at_name_from_everywhere: per_minute("guesses-from-everywhere", 120),
            keyring_tries: per_hour("keyring-tries", 5),
            keyring_tries_from_everywhere: per_hour("keyring-tries-from-everywhere", 30),
            keyring_tries_of_network: per_hour("keyring-tries-of-network", 60),
            keyring_tries_of_account: per_hour("keyring-tries-of-account", 20),
            keyring_kib_per_day: per_day("keyring-kib-per-day", 65_536),
            keyring_kib_of_network_per_day: per_day("keyring-kib-of-network-per-day", 262_144),
        }
    }
}
