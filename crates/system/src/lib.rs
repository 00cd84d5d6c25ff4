//! The one door to the machine's clock and randomness.
//!
//! Everything else takes a `UnixTime` or the [`Clock`] and [`Random`] ports, so that tests and
//! replays are exact; `clippy.toml` bans these calls everywhere but here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_protocol::UnixTime;
use countersign_protocol::ports::{Clock, Random};

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose [`Clock::monotonic`] counts from now.
    #[expect(clippy::disallowed_methods, reason = "this is the implementation of the Clock port")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the implementation of the Clock port")]
impl Clock for SystemClock {
    /// The time of day; a machine whose clock stands before 1970 gets [`UnixTime::EPOCH`].
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The operating system's randomness, by way of the cryptographic library's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

#[expect(clippy::disallowed_methods, reason = "this is the implementation of the Random port")]
impl Random for SystemRandom {
    /// Fills `bytes`, or ends the process: nothing may go on with predictable bytes, and unwinding
    /// could be caught.
    fn fill(&self, bytes: &mut [u8]) {
        if aws_lc_rs::rand::fill(bytes).is_err() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::ports::random_bytes;

    use super::*;

    #[test]
    fn the_clock_agrees_with_the_file_system() {
        let before = SystemClock::new().now();
        let file = std::env::temp_dir().join(format!("countersign-clock-{}", std::process::id()));
        std::fs::write(&file, b"").unwrap();
        let written = std::fs::metadata(&file).unwrap().modified().unwrap();
        std::fs::remove_file(&file).unwrap();
        let written = UnixTime::EPOCH + written.duration_since(UNIX_EPOCH).unwrap();

        // File systems stamp with a coarse clock: up to two seconds on some.
        assert!(written + Duration::from_secs(2) >= before);
        assert!(written.since(before) < Duration::from_mins(1));
    }

    #[test]
    fn monotonic_time_never_goes_backwards() {
        let clock = SystemClock::new();
        let readings: Vec<_> = (0..1000).map(|_| clock.monotonic()).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn random_bytes_differ_and_cover_the_whole_buffer() {
        let draws: Vec<[u8; 32]> = (0..64).map(|_| random_bytes(&SystemRandom)).collect();
        for (i, one) in draws.iter().enumerate() {
            assert!(draws[i + 1..].iter().all(|other| other != one));
        }
        // A byte position that is zero in 64 draws was not filled: chance 2^-512 otherwise.
        assert!((0..32).all(|position| draws.iter().any(|draw| draw[position] != 0)));
        SystemRandom.fill(&mut []);
    }
}
