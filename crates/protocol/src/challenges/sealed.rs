//! Sealed nonces: the server recognises what it handed out without having stored it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use subtle::ConstantTimeEq as _;

use crate::{UnixTime, envelope::aes_gcm::SealingKey, strict::base64url};

const TIME_LEN: usize = 8;
const TAG_LEN: usize = 16;

/// Makes and recognises nonces (RFC 9449 §8, §9).
pub trait Nonces: Send + Sync {
    /// A nonce made at `now`.
    fn issue(&self, now: UnixTime) -> String;

    /// Whether `nonce` was made here and is still fresh at `now`.
    fn recognises(&self, nonce: &str, now: UnixTime) -> bool;

    /// The present epoch, if `nonce` was made here in it and is still fresh at `now`.
    fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<u64> {
        self.recognises(nonce, now).then_some(0)
    }

    /// Changes when nonces from before are no longer recognised.
    fn generation(&self) -> u64 {
        0
    }
}

/// Makes and recognises the nonces of one purpose (RFC 9449 §8, §9).
///
/// A nonce is `base64url(time ‖ tag)`: the milliseconds of its making in 8 bytes, big-endian, and
/// the first 16 bytes of an HMAC-SHA-256 over them and the number of the epoch. Nobody without the
/// key can predict or make one.
///
/// An epoch ends when the clock is set back. The same times then come a second time, and nonces
/// that were made the first time must not seem fresh again.
pub struct NonceSealer {
    key: SealingKey,
    lifetime: Duration,
    made_after: Option<UnixTime>,
    ahead: Duration,
    epoch: Arc<AtomicU64>,
}

impl NonceSealer {
    /// With a key that is used for nothing else; nonces live for `lifetime`.
    pub fn new(key: SealingKey, lifetime: Duration) -> Self {
        Self { key, lifetime, made_after: None, ahead: Duration::ZERO, epoch: Arc::default() }
    }

    /// The same, where several sealers share the counter `epoch`.
    pub fn in_epoch(self, epoch: Arc<AtomicU64>) -> Self {
        Self { epoch, ..self }
    }

    /// For a key that other processes have too, or that outlives the memory of used proofs. Nonces
    /// made up to `since` are not recognised; those of other processes may be dated `ahead` of the
    /// clock here.
    #[must_use]
    pub fn made_after(mut self, since: UnixTime, ahead: Duration) -> Self {
        (self.made_after, self.ahead) = (Some(since), ahead);
        self
    }

    /// A nonce made at `now`: 32 characters.
    pub fn issue(&self, now: UnixTime) -> String {
        let first = self.made_after.map(|since| since + Duration::from_millis(1));
        let now = first.map_or(now, |first| now.max(first));
        let time = now.as_millis().to_be_bytes();
        let mut nonce = [0; TIME_LEN + TAG_LEN];
        nonce[..TIME_LEN].copy_from_slice(&time);
        nonce[TIME_LEN..].copy_from_slice(&self.tag(time, self.epoch.load(SeqCst)));
        base64url::encode(&nonce)
    }

    /// Whether `nonce` was made here and is still fresh at `now`.
    pub fn recognises(&self, nonce: &str, now: UnixTime) -> bool {
        self.epoch_of(nonce, now).is_some()
    }

    /// The present epoch, if `nonce` was made here in it and is still fresh at `now`.
    pub fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<u64> {
        let nonce = <[u8; TIME_LEN + TAG_LEN]>::try_from(base64url::decode(nonce).ok()?).ok()?;
        let (time, tag) = nonce.split_first_chunk()?;
        let epoch = self.epoch.load(SeqCst);
        let issued = UnixTime::from_millis(u64::from_be_bytes(*time));
        let is_of_time = issued <= now + self.ahead
            && now < issued + self.lifetime
            && self.made_after.is_none_or(|since| issued > since);
        (is_of_time && self.tag(*time, epoch).ct_eq(tag).into()).then_some(epoch)
    }

    fn tag(&self, time: [u8; TIME_LEN], epoch: u64) -> [u8; TAG_LEN] {
        let mac = self.key.mac(&[&time, &epoch.to_be_bytes()]);
        std::array::from_fn(|place| mac[place])
    }
}

impl Nonces for NonceSealer {
    fn issue(&self, now: UnixTime) -> String {
        Self::issue(self, now)
    }

    fn recognises(&self, nonce: &str, now: UnixTime) -> bool {
        Self::recognises(self, nonce, now)
    }

    fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<u64> {
        Self::epoch_of(self, nonce, now)
    }
}

impl<N: Nonces + ?Sized> Nonces for Arc<N> {
    fn issue(&self, now: UnixTime) -> String {
        (**self).issue(now)
    }

    fn recognises(&self, nonce: &str, now: UnixTime) -> bool {
        (**self).recognises(nonce, now)
    }

    fn generation(&self) -> u64 {
        (**self).generation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_mins(5);

    fn sealer(key: u8) -> NonceSealer {
        NonceSealer::new(SealingKey::from_bytes(&[key; 32]), LIFETIME)
    }

    #[test]
    fn a_nonce_is_recognised_until_its_lifetime_is_over() {
        let made = UnixTime::from_secs(1_000);
        let nonce = sealer(1).issue(made);
        assert!(sealer(1).recognises(&nonce, made));
        assert!(sealer(1).recognises(&nonce, made + LIFETIME - Duration::from_millis(1)));
        assert!(!sealer(1).recognises(&nonce, made + LIFETIME));
    }

    #[test]
    fn a_nonce_from_the_future_or_of_another_purpose_is_unknown() {
        let made = UnixTime::from_secs(1_000);
        let nonce = sealer(1).issue(made);
        assert!(!sealer(1).recognises(&nonce, made - Duration::from_millis(1)));
        assert!(!sealer(2).recognises(&nonce, made));
    }

    #[test]
    fn a_nonce_that_is_known_grows_old_like_any_other() {
        let made = UnixTime::from_secs(1_000);
        let sealer = sealer(1);
        let nonces = [made, made + Duration::from_secs(4)].map(|time| sealer.issue(time));
        for now in [made + Duration::from_secs(4), made + LIFETIME - Duration::from_millis(1)] {
            assert!(nonces.iter().all(|nonce| sealer.recognises(nonce, now)));
        }
        assert!(!sealer.recognises(&nonces[0], made + LIFETIME));
        assert!(!sealer.recognises(&nonces[1], made));
    }

    #[test]
    fn a_nonce_under_a_key_of_several_is_known_only_if_it_was_made_after_the_start() {
        let start = UnixTime::from_millis(1_000_400);
        let skew = Duration::from_secs(5);
        let here = sealer(1).made_after(start, skew);
        let there = sealer(1);
        let now = start + Duration::from_secs(1);
        assert!(here.recognises(&there.issue(now), now));
        assert!(here.recognises(&there.issue(now + skew), now), "its clock is ahead");
        assert!(!here.recognises(&there.issue(now + skew + Duration::from_millis(1)), now));
        for before in [start, start - Duration::from_secs(1)] {
            assert!(!here.recognises(&there.issue(before), now));
            assert!(here.recognises(&here.issue(before), start), "what it makes, it knows");
        }
    }

    #[test]
    fn a_nonce_of_an_earlier_epoch_is_unknown_for_good() {
        let epoch = Arc::new(AtomicU64::new(0));
        let sealer = sealer(1).in_epoch(Arc::clone(&epoch));
        let made = UnixTime::from_secs(1_000);
        let old = sealer.issue(made);
        assert_eq!(sealer.epoch_of(&old, made), Some(0));
        epoch.store(1, SeqCst);
        assert!(!sealer.recognises(&old, made), "although it was recognised before");
        assert_eq!(sealer.epoch_of(&sealer.issue(made), made), Some(1));
    }

    #[test]
    fn the_nonce_of_no_bytes_is_unknown() {
        let zeros = base64url::encode(&[0; TIME_LEN + TAG_LEN]);
        assert!(!sealer(1).recognises(&zeros, UnixTime::EPOCH));
    }

    #[test]
    fn no_altered_nonce_is_recognised() {
        let made = UnixTime::from_secs(1_000);
        let sealer = sealer(1);
        let nonce = sealer.issue(made);
        assert!(sealer.recognises(&nonce, made));
        assert!(nonce.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "NQCHAR");
        for place in 0..nonce.len() {
            let mut altered = nonce.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            assert!(!sealer.recognises(std::str::from_utf8(&altered).unwrap(), made));
        }
        for other in ["", "A", &nonce[1..], &format!("{nonce}A"), &format!("{nonce}=")] {
            assert!(!sealer.recognises(other, made));
        }
    }
}
