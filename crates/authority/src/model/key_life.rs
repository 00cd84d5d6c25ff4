//! A signing key as it lies in the store: its private half sealed, its life written beside it.

use std::time::Duration;

use countersign_protocol::{
    UnixTime,
    keys::{Algorithm, Thumbprint},
};

/// A signing key whose private half is sealed with the master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSigningKey {
    /// The `kid`: the RFC 7638 thumbprint of the public half.
    pub kid: Thumbprint,
    /// What it signs.
    pub signs: Signs,
    /// The one algorithm that it signs with.
    pub algorithm: Algorithm,
    /// When its life changes state.
    pub life: KeyLife,
    /// AES-256-GCM of the PKCS#8 document, bound to `kid`, `algorithm` and `life`.
    pub ciphertext: Vec<u8>,
    /// The nonce of that sealing.
    pub nonce: [u8; 12],
}

/// What a signing key signs. Each has keys of its own, also where both sign with one algorithm: their
/// lives differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// Access tokens, and the feed of revocations.
    AccessTokens,
    /// What is given for a password.
    PasswordTokens,
}

impl Signs {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessTokens => "access-tokens",
            Self::PasswordTokens => "password-tokens",
        }
    }
}

/// The key pair that the server made for one account, its private half sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedServerKey {
    /// AES-256-GCM of the PKCS#8 document, bound to the account.
    pub ciphertext: Vec<u8>,
    /// The nonce of that sealing.
    pub nonce: [u8; 12],
}

/// The moments at which a signing key changes state: next → active → retired → gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLife {
    /// When it was made. From then on it stands in the JWKS.
    pub created_at: UnixTime,
    /// From then on it signs.
    pub active_from: UnixTime,
    /// From then on it signs no more, but its signatures still verify.
    pub retired_from: UnixTime,
    /// From then on it is gone from the JWKS.
    pub expires_at: UnixTime,
}

/// What a signing key does at some moment of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published so that verifiers know it before it signs.
    Next,
    /// Signs.
    Active,
    /// Published so that its signatures still verify.
    Retired,
    /// No longer published.
    Gone,
}

impl KeyState {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }
}

impl KeyLife {
    /// The state at `now`.
    pub fn state(&self, now: UnixTime) -> KeyState {
        if now >= self.expires_at {
            KeyState::Gone
        } else if now >= self.retired_from {
            KeyState::Retired
        } else if now >= self.active_from {
            KeyState::Active
        } else {
            KeyState::Next
        }
    }
}

/// The life of signing keys: next → active → retired → gone.
#[derive(Clone, Copy, Debug)]
pub struct KeySchedule {
    /// The algorithm of access tokens.
    pub algorithm: Algorithm,
    /// How long a key signs.
    pub active: Duration,
    /// How long before it signs a key is published, so that every verifier knows it in time.
    pub publish_ahead: Duration,
    /// How long after it signed a key stays published; longer than any token lives.
    pub keep_after: Duration,
}

impl Default for KeySchedule {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Es256,
            active: Duration::from_hours(24 * 30),
            publish_ahead: Duration::from_hours(24),
            keep_after: Duration::from_hours(24),
        }
    }
}

/// A schedule, and whether the last expired key is kept to sign tokens that are expired from the
/// beginning.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// What the keys sign.
    pub signs: Signs,
    /// Their lives, and the algorithm.
    pub lives: KeySchedule,
    /// Whether there is always an expired key too.
    pub keep_expired: bool,
    /// How long after its last signature the last token by a key ends for every verifier.
    pub tokens_live: Duration,
    /// By how much the clocks of two servers may differ that share the keys.
    pub clock_tolerance: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeyState::{Active, Gone, Next, Retired};

    #[test]
    fn a_key_passes_through_its_states_at_the_stated_moments() {
        let at = UnixTime::from_secs;
        let life = KeyLife {
            created_at: at(0),
            active_from: at(10),
            retired_from: at(20),
            expires_at: at(30),
        };
        let states: Vec<_> = [0, 9, 10, 19, 20, 29, 30].map(|t| life.state(at(t))).into();
        assert_eq!(states, [Next, Next, Active, Active, Retired, Retired, Gone]);
    }
}
