//! Allowances.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_authority::ports::{LimitKey, NotAdmitted, RateLimit, RateLimiter};

use super::{away::column, engine::Engine, link::Link, names::name_under, node_clock::nanos};

/// Allowances that all nodes take from, by the generic cell rate algorithm: of each key there is the moment at
/// which its allowance will be full again. A key is a hash.
///
/// *Failure direction.* Without an answer nobody passes. When there are too many keys, those go first whose
/// allowance will be full first. One that `is_lasting` forgets nobody; for it, allowances begin half used after
/// the database has forgotten, so that a crash gives nobody a whole one.
pub(super) struct PostgresRateLimiter {
    engine: Arc<Engine>,
    is_lasting: bool,
}

impl PostgresRateLimiter {
    pub(super) const fn new(engine: Arc<Engine>, is_lasting: bool) -> Self {
        Self { engine, is_lasting }
    }

    /// When the allowance of somebody who has taken nothing is full, if it is `now`.
    fn full_at_first(&self, limit: &RateLimit, now: i64) -> i64 {
        if !self.is_lasting {
            return 0;
        }
        let begun = self.engine.links.epoch.get().since.as_millis();
        let begun = i64::try_from(begun).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        // After the clock was set back, an epoch may vouch for what is made from a later time on.
        begun.min(now).saturating_add(nanos(limit.period) / 2)
    }
}

#[async_trait]
impl RateLimiter for PostgresRateLimiter {
    async fn take_many(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        count: u32,
        now: Duration,
    ) -> Result<(), NotAdmitted> {
        if limit.burst == 0 {
            // An allowance of none.
            return Err(NotAdmitted::TooMany { retry_after: limit.period });
        }
        let (key, now) = (name_under(limit.name, key), self.engine.links.clock.shared(now));
        let (cost, whole) = (cost(limit, count), cost(limit, limit.burst));
        let (first, is_lasting) = (self.full_at_first(limit, now), self.is_lasting);
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                [&&key[..], &now, &cost, &whole, &first, &is_lasting];
            link.client.query_opt(&link.statements.take, &parameters).await
        });
        let full_at = match asked.await? {
            Some(row) if column(&row, 0)? => return Ok(()),
            Some(row) => column::<i64>(&row, 1)?,
            None => first,
        };
        let excess = full_at.max(first).max(now).saturating_add(cost - now - whole);
        // Another node may have been given something back meanwhile.
        let retry_after = Duration::from_nanos(u64::try_from(excess).unwrap_or_default().max(1));
        Err(NotAdmitted::TooMany { retry_after })
    }

    async fn give_back_many(&self, limit: &RateLimit, key: LimitKey, count: u32) {
        let (key, cost) = (name_under(limit.name, key), cost(limit, count));
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            link.client.execute(&link.statements.give_back, &[&&key[..], &cost]).await
        });
        if let Err(away) = asked.await {
            tracing::debug!(%away, "what was given back stays taken");
        }
    }
}

/// How long so many of an allowance take to come back, or the whole where that is less, in nanoseconds.
fn cost(limit: &RateLimit, count: u32) -> i64 {
    let interval = nanos(limit.period).checked_div(limit.burst.into()).unwrap_or_default();
    interval.saturating_mul(count.min(limit.burst).into())
}
