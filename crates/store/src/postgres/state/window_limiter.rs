//! Ten in any second.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_authority::ports::{LimitKey, NotAdmitted, WindowLimiter};

use super::{away::Away, engine::Engine, link::Link, names::name_under};

/// Under this name keys are counted.
const WINDOW: &str = "ten in a second";

/// The last ten requests of each key at all nodes, by the time that all nodes share. A function of the database
/// decides, while it holds the row of the key.
///
/// *Failure direction.* Without an answer nobody passes. A request whose answer cannot be noted, or whose node
/// is gone, holds its place until the key has been quiet for a minute.
pub(super) struct PostgresWindowLimiter {
    engine: Arc<Engine>,
}

impl PostgresWindowLimiter {
    pub(super) const fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl WindowLimiter for PostgresWindowLimiter {
    async fn enter(&self, key: LimitKey, now: Duration) -> Result<(), NotAdmitted> {
        let (key, now) = (name_under(WINDOW, key), self.engine.links.clock.shared(now));
        let caller = Arc::new(());
        let waiting = Arc::downgrade(&caller);
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let row = link.client.query_one(&link.statements.enter, &[&&key[..], &now]).await?;
            let wait: i64 = row.try_get(0)?;
            if wait == 0 && waiting.strong_count() == 0 {
                // It passed, and nobody is there any more who would say that it is answered.
                link.client.execute(&link.statements.leave, &[&&key[..], &now]).await?;
            }
            Ok(wait)
        });
        let wait = asked.await;
        drop(caller);
        match u64::try_from(wait?) {
            Ok(0) => Ok(()),
            Ok(wait) => Err(NotAdmitted::TooMany { retry_after: Duration::from_nanos(wait) }),
            Err(_) => Err(Away::Damaged.into()),
        }
    }

    async fn answered(&self, key: LimitKey, now: Duration) {
        let (key, now) = (name_under(WINDOW, key), self.engine.links.clock.shared(now));
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            link.client.execute(&link.statements.leave, &[&&key[..], &now]).await
        });
        if let Err(away) = asked.await {
            tracing::debug!(%away, "the place of an answered request stays taken");
        }
    }
}
