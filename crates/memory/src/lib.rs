//! Short-lived state in this process' memory: bounded, without threads of its own, and forgotten by a
//! restart. Each part says how large it grows, and in which direction it fails.

mod rate_limiter;
mod session_nonces;
mod window_limiter;

pub use countersign_protocol::replay::MemoryReplayLog;

pub use rate_limiter::MemoryRateLimiter;
pub use session_nonces::MemorySessionNonces;
pub use window_limiter::MemoryWindowLimiter;
