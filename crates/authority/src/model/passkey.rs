//! Passkeys: WebAuthn credentials, and which of them a server takes.

use std::{str::FromStr, time::Duration};

use countersign_protocol::{
    PasskeyStorage, UnixTime,
    challenges::passkeys::AccountHandle,
    keys::{CoseAlgorithm, Thumbprint},
    proofs::{
        target_uri::TargetUri,
        webauthn::{Aaguid, CredentialId, Origin, RpId, Transport},
    },
};
use thiserror::Error;

/// What is known about a passkey besides its public key, which is a
/// [`Credential`](super::credential::Credential) like all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The id that the authenticator gave it.
    pub id: CredentialId,
    /// The relying party that it was made for. It answers to no other.
    pub rp_id: RpId,
    /// The user handle that it was made with. It comes back with each answer.
    pub user_handle: AccountHandle,
    /// The largest signature counter that it has shown; 0 where it does not count.
    pub sign_count: u32,
    /// Whether it may be on several devices (BE, WebAuthn §6.1.3). It never changes.
    pub backup_eligible: bool,
    /// Whether it was backed up when it was last used (BS).
    pub backed_up: bool,
    /// The model of the authenticator, as it says; zeros where it does not say.
    pub aaguid: Aaguid,
    /// The ways to reach the authenticator, as the browser said at the registration.
    pub transports: Vec<Transport>,
    /// Since when it belongs to the account without the word of a passkey that was itself beyond doubt;
    /// `None` where such a one has vouched for it, and for the passkey of a registration. What a passkey in
    /// doubt vouches for is in doubt since then as well.
    pub unvouched_since: Option<UnixTime>,
}

/// For how long a passkey that none has vouched for may be removed without one.
pub const IN_DOUBT: Duration = Duration::from_hours(7 * 24);

impl Passkey {
    /// The kinds of key that a passkey may have, the preferred one first.
    pub const ALGORITHMS: [CoseAlgorithm; 3] =
        [CoseAlgorithm::EdDsa, CoseAlgorithm::Es256, CoseAlgorithm::Rs256];

    /// Until when it is in doubt: until then a browser of the account which was there before it may remove it.
    pub fn in_doubt_until(&self) -> Option<UnixTime> {
        self.unvouched_since.map(|since| since + IN_DOUBT)
    }

    /// Since when it is in doubt, if it is at `now`.
    pub fn in_doubt_since(&self, now: UnixTime) -> Option<UnixTime> {
        self.unvouched_since.filter(|since| now < *since + IN_DOUBT)
    }

    /// Whether its private key may be on several devices, or is on one.
    pub const fn storage(&self) -> PasskeyStorage {
        if self.backup_eligible { PasskeyStorage::Synced } else { PasskeyStorage::OneDevice }
    }
}

/// A use of a passkey, to be written down with what it allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasskeyUse {
    /// Its key.
    pub thumbprint: Thumbprint,
    /// The signature counter that it showed. It must be larger than the one before, unless both are 0.
    pub sign_count: u32,
    /// Whether it is backed up.
    pub backed_up: bool,
}

/// Which passkeys a server takes.
#[derive(Clone, Debug)]
pub struct PasskeyPolicy {
    /// The relying party that passkeys are made for.
    pub rp_id: RpId,
    /// The origins whose pages may use them. The first is the issuer.
    pub origins: Vec<Origin>,
    /// Whether they may be on several devices.
    pub synced: SyncedPasskeys,
}

impl PasskeyPolicy {
    /// All passkeys for the host of `issuer`. None if browsers make no passkeys there: its host is an
    /// IP address, or it is plain HTTP on another host than localhost.
    pub fn of_issuer(issuer: &TargetUri) -> Option<Self> {
        let origin: Origin = issuer.origin().parse().ok()?;
        let rp_id = origin.host().parse().ok()?;
        Some(Self { rp_id, origins: vec![origin], synced: SyncedPasskeys::Allow })
    }

    /// Whether an answer of `passkey` can count. One that was made before its kind was refused cannot.
    pub fn takes(&self, passkey: &Passkey) -> bool {
        match self.synced {
            SyncedPasskeys::Allow => true,
            SyncedPasskeys::Refuse => !passkey.backup_eligible,
        }
    }
}

/// Whether passkeys may be on several devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncedPasskeys {
    /// They may.
    Allow,
    /// A passkey that could be is refused, when it is made and when it is used.
    Refuse,
}

impl FromStr for SyncedPasskeys {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "allow" => Ok(Self::Allow),
            "refuse" => Ok(Self::Refuse),
            _ => Err(UnknownRule),
        }
    }
}

/// Not a rule about synced passkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("passkeys.synced is one of allow, refuse")]
pub struct UnknownRule;
