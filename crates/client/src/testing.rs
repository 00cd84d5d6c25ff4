//! A clock that stands still and randomness that repeats itself, for tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_protocol::UnixTime;
use countersign_protocol::digest::sha256;
use countersign_protocol::ports::{Clock, Random};

/// 2033-05-18T03:33:20Z, always.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(2_000_000_000);

pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> UnixTime {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Hashes of a counter: different at every draw, the same in every run.
#[derive(Default)]
pub(crate) struct CountingRandom(AtomicU64);

impl Random for CountingRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&sha256(&[&count.to_be_bytes()])[..chunk.len()]);
        }
    }
}
