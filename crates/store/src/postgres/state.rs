//! Short-lived state in the PostgreSQL database, for several servers together.
//!
//! It is in unlogged tables: to record that something was used costs one round trip and no write to a disk.
//! What the database server loses in a crash, and what a standby never had, is lost together with the row that
//! names the epoch. So whoever finds the same epoch finds everything that was recorded in it.
//!
//! Here are no threads. A few connections on the caller's runtime carry many requests at once, each with a
//! deadline, and one that was not answered is not sent again.

mod away;
mod engine;
mod epoch;
mod link;
mod links;
mod names;
mod node_clock;
mod options;
mod rate_limiter;
mod recent_numbers;
mod replay_log;
mod session_nonces;
mod statements;
mod tables;
mod under_way;
mod upkeep;
mod window_limiter;

use std::sync::Arc;

use countersign_authority::ports::{RateLimiter, State};

pub use self::options::StateOptions;
use self::{
    engine::Engine, rate_limiter::PostgresRateLimiter, recent_numbers::PostgresRecentNumbers,
    replay_log::PostgresReplayLog, session_nonces::PostgresSessionNonces,
    window_limiter::PostgresWindowLimiter,
};
use super::{error::PostgresError, url::DatabaseUrl};

/// Short-lived state in a PostgreSQL database. Its connections end with the last of its parts.
pub struct PostgresState {
    engine: Arc<Engine>,
    options: StateOptions,
}

impl PostgresState {
    /// Connects to the database at `url`, and makes the tables where they are not there: their schema is
    /// `countersign_state_1`. Must be called in the runtime that will ask, and which keeps the connections.
    ///
    /// # Errors
    /// [`PostgresError`] says what is wrong with the server or the database.
    pub async fn open(url: &DatabaseUrl, options: StateOptions) -> Result<Self, PostgresError> {
        let state = Self::connect(url, options).await?;
        let Self { engine, options } = &state;
        let refused = |away: away::Away| PostgresError::Refused { reason: away.to_string() };
        engine.links.measure(upkeep::PATIENCE).await.map_err(refused)?;
        engine.keep(upkeep::run(Arc::clone(&engine.links), options.clone()));
        Ok(state)
    }

    /// The same, with nobody who looks at clocks and removes what has ended.
    async fn connect(url: &DatabaseUrl, options: StateOptions) -> Result<Self, PostgresError> {
        let engine = Engine::open(url, &options).await?;
        Ok(Self { engine: Arc::new(engine), options })
    }

    /// The state of this node. `request_limiter` counts requests of any kind, at this node alone.
    pub fn into_state(self, request_limiter: Arc<dyn RateLimiter>) -> State {
        let Self { engine, options } = self;
        let limiter = |is_lasting| PostgresRateLimiter::new(Arc::clone(&engine), is_lasting);
        State {
            has_neighbours: false,
            keyring_tries: Arc::new(limiter(true)),
            rate_limiter: Arc::new(limiter(false)),
            recent_numbers: Arc::new(PostgresRecentNumbers::new(Arc::clone(&engine))),
            replay_log: Arc::new(PostgresReplayLog::new(Arc::clone(&engine), &options)),
            request_limiter,
            session_nonces: Arc::new(PostgresSessionNonces::new(Arc::clone(&engine), &options)),
            window_limiter: Arc::new(PostgresWindowLimiter::new(engine)),
        }
    }
}

#[cfg(test)]
mod tests;
