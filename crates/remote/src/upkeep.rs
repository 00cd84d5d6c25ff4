//! Fetches keys and revocations again before they are too old.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{issuer::AskError, jwks::Jwks, revocations::Feed};

/// What is kept fresh.
pub(crate) struct Fresh {
    pub(crate) jwks: Arc<Jwks>,
    pub(crate) feed: Arc<Feed>,
}

impl Fresh {
    /// Fetches what is due.
    pub(crate) async fn refresh(&self) -> Result<(), AskError> {
        let keys = self.jwks.keep_fresh().await;
        let feed = self.feed.refresh().await;
        keys.and(feed)
    }
}

/// Runs until nobody holds `fresh` any more.
pub(crate) async fn keep_up(fresh: Weak<Fresh>, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_good = true;
    loop {
        ticks.tick().await;
        let Some(fresh) = fresh.upgrade() else { return };
        let result = fresh.refresh().await;
        match &result {
            Err(error) if was_good => tracing::warn!(%error, "the issuer cannot be asked"),
            Ok(()) if !was_good => tracing::info!("the issuer answers again"),
            _ => {}
        }
        was_good = result.is_ok();
    }
}
