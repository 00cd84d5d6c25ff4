//! How to keep short-lived state.

use std::{sync::Arc, time::Duration};

use countersign_protocol::ports::{Clock, Random};

use crate::operation::Stopwatch;

/// How to keep short-lived state in a database ([`PostgresState`](super::PostgresState)).
#[derive(Clone)]
pub struct StateOptions {
    /// The clock of this node.
    pub clock: Arc<dyn Clock>,
    /// What names epochs, and spreads the moments at which nodes connect anew.
    pub random: Arc<dyn Random>,
    /// How many connections carry requests. At least one. One more is for upkeep.
    pub connections: usize,
    /// How many requests of this node may be unanswered. More are refused at once.
    pub in_flight: usize,
    /// How long an answer may take.
    pub answer_within: Duration,
    /// How far the clocks of two nodes may lie apart.
    pub clock_skew: Duration,
    /// How many used proofs this node may have recorded that have not ended.
    pub used_proofs: u64,
    /// How many of them may be of one account, or one client network.
    pub used_proofs_share: u64,
    /// How many sessions all nodes together keep.
    pub sessions: usize,
    /// How many of them may be of one client network.
    pub sessions_share: usize,
    /// Of how many keys all nodes together count what they do.
    pub limited: usize,
    /// By which requests and new connections are measured.
    pub stopwatch: Arc<Stopwatch>,
}

impl StateOptions {
    /// The defaults, with the clock and the randomness of this node.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            clock,
            random,
            connections: 4,
            in_flight: 4096,
            answer_within: Duration::from_millis(250),
            clock_skew: Duration::from_secs(5),
            used_proofs: 1_000_000,
            used_proofs_share: 50_000,
            sessions: 100_000,
            sessions_share: 5_000,
            limited: 1_000_000,
            stopwatch: Arc::default(),
        }
    }
}
