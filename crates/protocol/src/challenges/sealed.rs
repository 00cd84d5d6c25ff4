//! Sealed nonces: the server recognises what it handed out without having stored it.

use std::{sync::Arc, time::Duration};

use subtle::ConstantTimeEq as _;

use crate::{
    UnixTime,
    envelope::aes_gcm::SealingKey,
    ports::ReplayLog,
    replay::{EpochId, LogEpoch},
    strict::base64url,
};

const TIME_LEN: usize = 8;
const TAG_LEN: usize = 16;
/// What nonces say in place of an epoch, where each machine that makes them is in one of its own.
const NO_EPOCH: EpochId = EpochId::from_bytes([0; 16]);

/// Makes and recognises nonces (RFC 9449 §8, §9).
pub trait Nonces: Send + Sync {
    /// The epoch of the nonces that are made now. What is kept of a nonce is good for this epoch only.
    fn epoch(&self) -> EpochId;

    /// A nonce made at `now`.
    fn issue(&self, now: UnixTime) -> String;

    /// The present epoch of the replay log, if `nonce` was made in it and is still fresh at `now`.
    /// What carries the nonce is recorded under this epoch.
    fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<EpochId>;
}

/// Makes and recognises the nonces of one purpose (RFC 9449 §8, §9).
///
/// A nonce is `base64url(time ‖ tag)`: the milliseconds of its making in 8 bytes, big-endian, and
/// the first 16 bytes of an HMAC-SHA-256 over them and the epoch of the replay log. Nobody without the
/// key can predict or make one. When the log has forgotten what was used, it is in another epoch, and
/// every nonce of before is unknown, with all that carries one.
pub struct NonceSealer {
    key: SealingKey,
    lifetime: Duration,
    /// How far the clocks of others may be ahead who make nonces with this key.
    ahead: Duration,
    /// Whether each of them is in an epoch of its own.
    own_epochs: bool,
}

impl NonceSealer {
    /// With a key that is used for nothing else; nonces live for `lifetime`.
    pub const fn new(key: SealingKey, lifetime: Duration) -> Self {
        Self { key, lifetime, ahead: Duration::ZERO, own_epochs: false }
    }

    /// For nodes that share the key and the replay log: nonces of others may be dated `ahead` of the clock
    /// here.
    #[must_use]
    pub const fn of_nodes(mut self, ahead: Duration) -> Self {
        self.ahead = ahead;
        self
    }

    /// For a key that several machines have, each with a replay log and thus an epoch of its own. Here
    /// no nonce counts that was made up to the beginning of the epoch here; those of others may be
    /// dated `ahead` of the clock here.
    #[must_use]
    pub const fn of_several_machines(mut self, ahead: Duration) -> Self {
        self.ahead = ahead;
        self.own_epochs = true;
        self
    }

    /// A nonce of `epoch`, made at `now`: 32 characters.
    pub fn issue(&self, epoch: &LogEpoch, now: UnixTime) -> String {
        let first = epoch.since + Duration::from_millis(1);
        let now = if self.own_epochs { now.max(first) } else { now };
        let time = now.as_millis().to_be_bytes();
        let mut nonce = [0; TIME_LEN + TAG_LEN];
        nonce[..TIME_LEN].copy_from_slice(&time);
        nonce[TIME_LEN..].copy_from_slice(&self.tag(time, epoch.id));
        base64url::encode(&nonce)
    }

    /// Whether `nonce` was made with this key in `epoch` and is still fresh at `now`.
    pub fn recognises(&self, nonce: &str, epoch: &LogEpoch, now: UnixTime) -> bool {
        let Ok(nonce) = base64url::decode(nonce) else { return false };
        let Ok(nonce) = <[u8; TIME_LEN + TAG_LEN]>::try_from(nonce) else { return false };
        let Some((time, tag)) = nonce.split_first_chunk() else { return false };
        let issued = UnixTime::from_millis(u64::from_be_bytes(*time));
        let is_of_time = issued <= now + self.ahead
            && now < issued + self.lifetime
            && (!self.own_epochs || issued > epoch.since);
        is_of_time && self.tag(*time, epoch.id).ct_eq(tag).into()
    }

    fn tag(&self, time: [u8; TIME_LEN], epoch: EpochId) -> [u8; TAG_LEN] {
        let epoch = if self.own_epochs { NO_EPOCH } else { epoch };
        let mac = self.key.mac(&[&time, epoch.as_bytes()]);
        std::array::from_fn(|place| mac[place])
    }
}

/// The nonces of one epoch.
pub struct EpochNonces {
    sealer: NonceSealer,
    epoch: LogEpoch,
}

impl EpochNonces {
    /// Nonces of `epoch` by `sealer`.
    pub const fn new(sealer: NonceSealer, epoch: LogEpoch) -> Self {
        Self { sealer, epoch }
    }
}

impl Nonces for EpochNonces {
    fn epoch(&self) -> EpochId {
        self.epoch.id
    }

    fn issue(&self, now: UnixTime) -> String {
        self.sealer.issue(&self.epoch, now)
    }

    fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<EpochId> {
        self.sealer.recognises(nonce, &self.epoch, now).then_some(self.epoch.id)
    }
}

/// The nonces of whichever epoch a replay log is in.
pub struct LogNonces {
    sealer: NonceSealer,
    log: Arc<dyn ReplayLog>,
}

impl LogNonces {
    /// Nonces by `sealer` for proofs that `log` records.
    pub const fn new(sealer: NonceSealer, log: Arc<dyn ReplayLog>) -> Self {
        Self { sealer, log }
    }
}

impl Nonces for LogNonces {
    fn epoch(&self) -> EpochId {
        self.log.epoch().id
    }

    fn issue(&self, now: UnixTime) -> String {
        self.sealer.issue(&self.log.epoch(), now)
    }

    fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<EpochId> {
        let epoch = self.log.epoch();
        self.sealer.recognises(nonce, &epoch, now).then_some(epoch.id)
    }
}

impl<N: Nonces + ?Sized> Nonces for Arc<N> {
    fn epoch(&self) -> EpochId {
        (**self).epoch()
    }

    fn issue(&self, now: UnixTime) -> String {
        (**self).issue(now)
    }

    fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<EpochId> {
        (**self).epoch_of(nonce, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_mins(5);

    /// Nonces by one key in one epoch.
    struct Sealer(NonceSealer, LogEpoch);

    impl Sealer {
        fn in_epoch(self, id: u8, since: UnixTime) -> Self {
            Self(self.0, LogEpoch { id: EpochId::from_bytes([id; 16]), since })
        }

        fn issue(&self, now: UnixTime) -> String {
            self.0.issue(&self.1, now)
        }

        fn recognises(&self, nonce: &str, now: UnixTime) -> bool {
            self.0.recognises(nonce, &self.1, now)
        }
    }

    fn sealer(key: u8) -> Sealer {
        let epoch = LogEpoch { id: EpochId::from_bytes([1; 16]), since: UnixTime::EPOCH };
        Sealer(NonceSealer::new(SealingKey::from_bytes(&[key; 32]), LIFETIME), epoch)
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
        let machine = |id, since| {
            let Sealer(sealer, epoch) = sealer(1);
            Sealer(sealer.of_several_machines(skew), epoch).in_epoch(id, since)
        };
        let (here, there) = (machine(1, start), machine(2, UnixTime::EPOCH));
        let now = start + Duration::from_secs(1);
        assert!(here.recognises(&there.issue(now), now));
        assert!(here.recognises(&there.issue(now + skew), now), "its clock is ahead");
        assert!(!here.recognises(&there.issue(now + skew + Duration::from_millis(1)), now));
        for before in [start, start - Duration::from_secs(1)] {
            assert!(!here.recognises(&there.issue(before), now));
            assert!(here.recognises(&here.issue(before), start), "what it makes, it knows");
        }
        let later = machine(3, now);
        assert!(!later.recognises(&here.issue(now), now), "the log here has forgotten");
    }

    #[test]
    fn a_nonce_of_a_node_whose_clock_is_ahead_is_known_within_the_skew() {
        let (made, skew) = (UnixTime::from_secs(1_000), Duration::from_secs(5));
        let node = || {
            let Sealer(sealer, epoch) = sealer(1);
            Sealer(sealer.of_nodes(skew), epoch)
        };
        let nonce = node().issue(made + skew);
        assert!(node().recognises(&nonce, made));
        assert!(!node().recognises(&nonce, made - Duration::from_millis(1)));
        assert!(!node().in_epoch(2, UnixTime::EPOCH).recognises(&nonce, made), "of another epoch");
    }

    #[test]
    fn a_nonce_of_another_epoch_is_unknown() {
        let made = UnixTime::from_secs(1_000);
        let (before, after) = (sealer(1), sealer(1).in_epoch(2, UnixTime::EPOCH));
        assert!(after.recognises(&after.issue(made), made));
        assert!(!after.recognises(&before.issue(made), made), "however young it is");
        assert!(!before.recognises(&after.issue(made), made));
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
