//! Short-lived state in this process' memory: bounded, without threads of its own.

mod rate_limiter;
mod replay_log;
mod session_nonces;
mod window_limiter;

pub use rate_limiter::MemoryRateLimiter;
pub use replay_log::MemoryReplayLog;
pub use session_nonces::MemorySessionNonces;
pub use window_limiter::MemoryWindowLimiter;
