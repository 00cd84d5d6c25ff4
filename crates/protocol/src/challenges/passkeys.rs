//! Challenges for passkeys: each says what it was made for, and nothing of it is stored.
//!
//! A passkey signs the challenge, so it signs what the challenge says: the purpose, the key of the
//! browser that asked for it, and for a change of an account the account and the very request. An
//! answer to one challenge therefore serves nobody who holds another key, and nothing else.

use std::{fmt, time::Duration};

use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::{
    AccountId, UnixTime,
    challenges::request_digest::RequestDigest,
    digest::sha256,
    envelope::aes_gcm::SealingKey,
    keys::Thumbprint,
    ports::{Random, random_bytes},
    replay::{ReplayEntry, Unspent},
};

const VERSION: u8 = 1;
/// Tells two challenges of one millisecond apart, and keeps the authenticator's signature from being
/// over something predictable (WebAuthn §13.4.3: at least 16 bytes).
const RANDOM_LEN: usize = 16;
const TAG_LEN: usize = 32;

/// The user handle of the passkeys of an account (WebAuthn §5.4.3), as this server makes it: 32 random
/// bytes that say nothing about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountHandle([u8; 32]);

impl AccountHandle {
    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random_bytes(random))
    }

    /// From the bytes that [`Self::as_bytes`] gives.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a challenge is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// Signing in, with whichever passkey the user chooses.
    SignIn,
    /// Making the first passkey of an account that does not exist yet.
    Register(AccountHandle),
    /// Making another passkey for an account.
    Add(AccountId, AccountHandle),
    /// Allowing one request that changes an account.
    StepUp(AccountId, RequestDigest),
}

impl Ceremony {
    /// Its word on the wire.
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::SignIn => Purpose::SignIn,
            Self::Register(_) => Purpose::Register,
            Self::Add(..) => Purpose::Add,
            Self::StepUp(..) => Purpose::StepUp,
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::SignIn => {}
            Self::Register(handle) => to.extend(handle.as_bytes()),
            Self::Add(account, handle) => {
                to.extend(account.as_bytes());
                to.extend(handle.as_bytes());
            }
            Self::StepUp(account, request) => {
                to.extend(account.as_bytes());
                to.extend(request.as_bytes());
            }
        }
    }

    fn read(purpose: Purpose, mut from: &[u8]) -> Option<Self> {
        let ceremony = match purpose {
            Purpose::SignIn => Self::SignIn,
            Purpose::Register => Self::Register(AccountHandle(take(&mut from)?)),
            Purpose::Add => {
                let account = AccountId::from_bytes(take(&mut from)?);
                Self::Add(account, AccountHandle(take(&mut from)?))
            }
            Purpose::StepUp => {
                let account = AccountId::from_bytes(take(&mut from)?);
                Self::StepUp(account, RequestDigest::from_bytes(take(&mut from)?))
            }
        };
        from.is_empty().then_some(ceremony)
    }
}

/// The kinds of [`Ceremony`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `sign-in`.
    SignIn,
    /// `register`.
    Register,
    /// `add`.
    Add,
    /// `step-up`.
    StepUp,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::SignIn, Self::Register, Self::Add, Self::StepUp];

    /// Its word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Register => "register",
            Self::Add => "add",
            Self::StepUp => "step-up",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::SignIn => 1,
            Self::Register => 2,
            Self::Add => 3,
            Self::StepUp => 4,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.code() == code)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an answer is presented for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A login.
    SignIn,
    /// The registration of an account.
    Register,
    /// A new passkey of that account.
    Add(AccountId),
    /// That request of that account.
    StepUp(AccountId, RequestDigest),
}

impl Expected {
    const fn purpose(&self) -> Purpose {
        match self {
            Self::SignIn => Purpose::SignIn,
            Self::Register => Purpose::Register,
            Self::Add(_) => Purpose::Add,
            Self::StepUp(..) => Purpose::StepUp,
        }
    }

    fn check(&self, found: &Ceremony) -> Result<(), ChallengeError> {
        let (made_for, presented_for) = (found.purpose(), self.purpose());
        match (self, found) {
            (Self::SignIn, Ceremony::SignIn) | (Self::Register, Ceremony::Register(_)) => Ok(()),
            (Self::Add(expected), Ceremony::Add(account, _)) => {
                (expected == account).then_some(()).ok_or(ChallengeError::OtherAccount)
            }
            (Self::StepUp(expected, request), Ceremony::StepUp(account, made_for)) => {
                if expected != account {
                    return Err(ChallengeError::OtherAccount);
                }
                (request == made_for).then_some(()).ok_or(ChallengeError::OtherRequest)
            }
            (Self::SignIn | Self::Register | Self::Add(_) | Self::StepUp(..), _) => {
                Err(ChallengeError::OtherPurpose { made_for, presented_for })
            }
        }
    }
}

/// Makes challenges for passkeys, and recognises them when they come back signed.
///
/// A challenge is `version ‖ purpose ‖ time ‖ random ‖ key ‖ what the purpose needs ‖ tag`: the
/// milliseconds of its making in 8 bytes, big-endian, 16 random bytes, the thumbprint of the key that
/// asked for it, and an HMAC-SHA-256 over all of it. Nothing of it is secret; nobody without the
/// server's key can make one.
pub struct PasskeyChallenges {
    key: SealingKey,
    lifetime: Duration,
    ahead: Duration,
}

impl PasskeyChallenges {
    /// With a key that is used for nothing else. Challenges live for `lifetime`; those of other
    /// processes with that key may be dated `ahead` of the clock here.
    pub const fn new(key: SealingKey, lifetime: Duration, ahead: Duration) -> Self {
        Self { key, lifetime, ahead }
    }

    /// For how long a challenge may be answered.
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A challenge for `ceremony` by a browser whose key is `key`, made at `now`.
    pub fn issue(
        &self,
        ceremony: &Ceremony,
        key: Thumbprint,
        now: UnixTime,
        random: &dyn Random,
    ) -> Vec<u8> {
        let mut challenge = vec![VERSION, ceremony.purpose().code()];
        challenge.extend(now.as_millis().to_be_bytes());
        challenge.extend(random_bytes::<RANDOM_LEN>(random));
        challenge.extend(key.as_bytes());
        ceremony.write(&mut challenge);
        let tag = self.key.mac(&[&challenge]);
        challenge.extend(tag);
        challenge
    }

    /// What `challenge` was made for, if it was made here, for `key` and for what is `expected`, and
    /// may still be answered at `now`. It counts once.
    ///
    /// # Errors
    /// The first rule that does not hold. A challenge that was not made here says nothing.
    pub fn recognise(
        &self,
        challenge: &[u8],
        expected: &Expected,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<Unspent<Ceremony>, ChallengeError> {
        let (made_at, made_for, ceremony) = self.read(challenge).ok_or(ChallengeError::Unknown)?;
        if made_at > now + self.ahead {
            return Err(ChallengeError::FromTheFuture);
        }
        let ends = made_at + self.lifetime;
        if now >= ends {
            return Err(ChallengeError::Expired(self.lifetime.as_secs()));
        }
        expected.check(&ceremony)?;
        if made_for != key {
            return Err(ChallengeError::OtherKey);
        }
        let digest = sha256(&[b"passkey challenge\0", challenge]);
        Ok(Unspent::new(ceremony, ReplayEntry { digest, forget_at: ends }))
    }

    /// Time, key and purpose of a challenge whose tag is right.
    fn read(&self, challenge: &[u8]) -> Option<(UnixTime, Thumbprint, Ceremony)> {
        let (mut rest, tag) = challenge.split_last_chunk::<TAG_LEN>()?;
        if !bool::from(self.key.mac(&[rest]).ct_eq(tag)) {
            return None;
        }
        let [version, purpose] = take::<2>(&mut rest)?;
        if version != VERSION {
            return None;
        }
        let made_at = UnixTime::from_millis(u64::from_be_bytes(take(&mut rest)?));
        take::<RANDOM_LEN>(&mut rest)?;
        let key = Thumbprint::from_bytes(take(&mut rest)?);
        Some((made_at, key, Ceremony::read(Purpose::from_code(purpose)?, rest)?))
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

/// Why the answer to a challenge does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChallengeError {
    /// It is too old; with the limit in seconds.
    #[error("the challenge is older than {0} seconds: ask for a new one")]
    Expired(u64),
    /// The server's clock was set back.
    #[error("the challenge was made later than the server's clock says: ask for a new one")]
    FromTheFuture,
    /// Another account asked for it.
    #[error("the challenge was made for another account")]
    OtherAccount,
    /// Another key asked for it.
    #[error("the challenge was made for another key than the one that signed the DPoP proof")]
    OtherKey,
    /// It was asked for something else.
    #[error("the challenge was made for {made_for}, and is presented for {presented_for}")]
    OtherPurpose {
        /// What it was made for.
        made_for: Purpose,
        /// Where it turned up.
        presented_for: Purpose,
    },
    /// It allows another request.
    #[error(
        "the challenge was made for another request: another method, path, condition (If-Match, If-None-Match) or body"
    )]
    OtherRequest,
    /// It was not made here, or was altered, or the master key was changed since.
    #[error("the challenge was not made by this server")]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{challenges::request_digest::Conditions, test_support::NOW};

    struct Counting(std::sync::atomic::AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
    }

    const LIFETIME: Duration = Duration::from_mins(10);
    const AHEAD: Duration = Duration::from_secs(5);
    const HANDLE: AccountHandle = AccountHandle([7; 32]);

    fn challenges(key: u8) -> PasskeyChallenges {
        PasskeyChallenges::new(SealingKey::from_bytes(&[key; 32]), LIFETIME, AHEAD)
    }

    fn key(number: u8) -> Thumbprint {
        Thumbprint::from_bytes([number; 32])
    }

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 16])
    }

    fn request(path: &str) -> RequestDigest {
        RequestDigest::of("POST", path, Conditions::default(), Some(sha256(&[b"{}"])))
    }

    fn random() -> Counting {
        Counting(0.into())
    }

    /// A ceremony of every kind, with what it is expected as.
    fn all() -> Vec<(Ceremony, Expected)> {
        let request = request("/v1/keys");
        vec![
            (Ceremony::SignIn, Expected::SignIn),
            (Ceremony::Register(HANDLE), Expected::Register),
            (Ceremony::Add(account(1), HANDLE), Expected::Add(account(1))),
            (Ceremony::StepUp(account(1), request), Expected::StepUp(account(1), request)),
        ]
    }

    #[test]
    fn a_challenge_is_recognised_by_whom_and_for_what_it_was_made() {
        for (ceremony, expected) in all() {
            let challenge = challenges(1).issue(&ceremony, key(1), NOW, &random());
            let found = challenges(1).recognise(&challenge, &expected, key(1), NOW).unwrap();
            assert_eq!(*found.peek(), ceremony);
            assert_eq!(found.entry().forget_at, NOW + LIFETIME);
            let others_key = challenges(1).recognise(&challenge, &expected, key(2), NOW);
            assert_eq!(others_key.unwrap_err(), ChallengeError::OtherKey);
            let elsewhere = challenges(2).recognise(&challenge, &expected, key(1), NOW);
            assert_eq!(elsewhere.unwrap_err(), ChallengeError::Unknown);
        }
    }

    #[test]
    fn a_challenge_of_one_purpose_serves_no_other() {
        for (ceremony, _) in all() {
            let challenge = challenges(1).issue(&ceremony, key(1), NOW, &random());
            for (other, expected) in all() {
                if other.purpose() == ceremony.purpose() {
                    continue;
                }
                let (made_for, presented_for) = (ceremony.purpose(), other.purpose());
                let error = challenges(1).recognise(&challenge, &expected, key(1), NOW);
                let refusal = ChallengeError::OtherPurpose { made_for, presented_for };
                assert_eq!(error.unwrap_err(), refusal);
            }
        }
    }

    #[test]
    fn a_challenge_of_one_account_or_request_serves_no_other() {
        let sealer = challenges(1);
        let add = sealer.issue(&Ceremony::Add(account(1), HANDLE), key(1), NOW, &random());
        let refused = sealer.recognise(&add, &Expected::Add(account(2)), key(1), NOW);
        assert_eq!(refused.unwrap_err(), ChallengeError::OtherAccount);
        let made_for = Ceremony::StepUp(account(1), request("/v1/keys"));
        let step_up = sealer.issue(&made_for, key(1), NOW, &random());
        let digest = |method, body| {
            let request = RequestDigest::of(method, "/v1/keys", Conditions::default(), body);
            Expected::StepUp(account(1), request)
        };
        let others = [
            (Expected::StepUp(account(2), request("/v1/keys")), ChallengeError::OtherAccount),
            (Expected::StepUp(account(1), request("/v1/keys/x")), ChallengeError::OtherRequest),
            (digest("PUT", Some(sha256(&[b"{}"]))), ChallengeError::OtherRequest),
            (digest("POST", None), ChallengeError::OtherRequest),
        ];
        for (expected, error) in others {
            let refused = sealer.recognise(&step_up, &expected, key(1), NOW);
            assert_eq!(refused.unwrap_err(), error, "{expected:?}");
        }
    }

    #[test]
    fn a_challenge_may_be_answered_until_its_lifetime_is_over() {
        let sealer = challenges(1);
        let challenge = sealer.issue(&Ceremony::SignIn, key(1), NOW, &random());
        let at = |now| sealer.recognise(&challenge, &Expected::SignIn, key(1), now).err();
        assert_eq!(at(NOW + LIFETIME - Duration::from_millis(1)), None);
        assert_eq!(at(NOW + LIFETIME), Some(ChallengeError::Expired(600)));
        assert_eq!(at(NOW - AHEAD), None);
        assert_eq!(at(NOW - AHEAD - Duration::from_millis(1)), Some(ChallengeError::FromTheFuture));
    }

    #[test]
    fn two_challenges_of_one_moment_are_two() {
        let (sealer, random) = (challenges(1), random());
        let two = [(), ()].map(|()| sealer.issue(&Ceremony::SignIn, key(1), NOW, &random));
        assert_ne!(two[0], two[1]);
        let entry = |challenge: &[u8]| {
            sealer.recognise(challenge, &Expected::SignIn, key(1), NOW).unwrap().entry()
        };
        assert_ne!(entry(&two[0]), entry(&two[1]));
    }

    #[test]
    fn no_altered_or_shortened_challenge_is_recognised() {
        let sealer = challenges(1);
        for (ceremony, expected) in all() {
            let challenge = sealer.issue(&ceremony, key(1), NOW, &random());
            let refused = |text: &[u8]| {
                sealer.recognise(text, &expected, key(1), NOW).unwrap_err()
                    == ChallengeError::Unknown
            };
            for place in 0..challenge.len() {
                let mut altered = challenge.clone();
                altered[place] ^= 1;
                assert!(refused(&altered), "byte {place}");
                assert!(refused(&challenge[..place]), "{place} bytes");
            }
            assert!(refused(&[&challenge[..], b"x"].concat()));
        }
    }
}
