//! A replay log that is away accepts nothing.

use std::sync::Arc;

use countersign_protocol::ports::{ReplayError, ReplayLog};

use super::replay_log::spend;
use crate::samples::{NOW, replay_entry};

/// While its engine is away, a log records nothing and says why; the epoch that it was in last it still
/// tells at once.
pub async fn a_log_that_is_away_says_so_and_knows_its_epoch(logs: [Arc<dyn ReplayLog>; 2]) {
    for log in &logs {
        let epoch = log.epoch();
        let refused = spend(log, replay_entry(1), 1, NOW).await;
        assert!(matches!(refused, Err(ReplayError::Unavailable(_))), "{refused:?}");
        assert_eq!(log.epoch(), epoch);
    }
}
