//! Short-lived state in this process' memory: bounded, without threads of its own, and forgotten by a
//! restart. Each part says how large it grows, and in which direction it fails.

mod lasting_rate_limiter;
mod rate_limiter;
mod recent_numbers;
mod session_nonces;
mod window_limiter;

use std::{hash::RandomState, sync::Arc, time::Duration};

use countersign_authority::ports::State;
use countersign_protocol::replay::{LogEpoch, MemoryReplayLog};

pub use self::lasting_rate_limiter::LastingRateLimiter;
pub use self::rate_limiter::MemoryRateLimiter;
pub use self::recent_numbers::MemoryRecentNumbers;
pub use self::session_nonces::MemorySessionNonces;
pub use self::window_limiter::MemoryWindowLimiter;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Keys of each limiter.
    pub limited: usize,
    /// Places of the limiter that counts tries at online keyrings.
    pub keyring_tries: usize,
    /// Used proofs, about 40 bytes each.
    pub used_proofs: u64,
    /// How many of these one account, or one client network, may have.
    pub used_proofs_share: u64,
    /// Sessions.
    pub sessions: usize,
    /// How many of these one client network may have.
    pub sessions_share: usize,
}

/// All short-lived state, in this process' memory. It begins at `started` by the monotonic clock, and
/// with the epoch `epoch`, which must be another at each start.
pub fn state(capacity: &Capacity, epoch: LogEpoch, started: Duration) -> State {
    let Capacity {
        limited,
        keyring_tries,
        used_proofs,
        used_proofs_share,
        sessions,
        sessions_share,
    } = *capacity;
    let hashing = RandomState::new();
    let rate_limiter = Arc::new(MemoryRateLimiter::new(limited));
    State {
        has_neighbours: false,
        keyring_tries: Arc::new(LastingRateLimiter::new(keyring_tries, started)),
        rate_limiter: Arc::<MemoryRateLimiter>::clone(&rate_limiter),
        recent_numbers: Arc::new(MemoryRecentNumbers::default()),
        replay_log: Arc::new(MemoryReplayLog::new(epoch, used_proofs, used_proofs_share, hashing)),
        request_limiter: rate_limiter,
        session_nonces: Arc::new(MemorySessionNonces::new(sessions, sessions_share)),
        window_limiter: Arc::new(MemoryWindowLimiter::new(limited)),
    }
}
