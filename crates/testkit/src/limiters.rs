//! Limiters for tests of something else.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_authority::ports::{LimitKey, NotAdmitted, RateLimit, RateLimiter};

/// A limiter that admits everybody.
pub fn unlimited() -> Arc<dyn RateLimiter> {
    Arc::new(Unlimited)
}

struct Unlimited;

#[async_trait]
impl RateLimiter for Unlimited {
    async fn take_many(
        &self,
        _: &RateLimit,
        _: LimitKey,
        _: u32,
        _: Duration,
    ) -> Result<(), NotAdmitted> {
        Ok(())
    }

    async fn give_back_many(&self, _: &RateLimit, _: LimitKey, _: u32) {}
}
