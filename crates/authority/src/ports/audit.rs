//! The audit trail.

use std::time::Duration;

use async_trait::async_trait;
use countersign_protocol::UnixTime;

use super::StoreError;
use crate::audit::{AuditEvent, AuditFilter, RecordedEvent};

/// The audit trail.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends events that no other change carries.
    ///
    /// Here and with every change: a refusal that is like one of the same hour is told by the entry
    /// of that one, which counts it; and so is the use of a key that is like one of the same day.
    async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// Events that fit `filter`, newest first, at most `limit`.
    async fn events(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Forgets what has outlived its use at `now`: used assertions, revocations of ended tokens,
    /// expired invitations, and events beyond `retention`. Returns how many rows went.
    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError>;
}

/// How much of the audit trail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Older events go.
    pub max_age: Duration,
    /// When there are more logins than this, the oldest of whoever has the most of one kind go.
    /// Changes go by age alone.
    pub max_events: u64,
    /// When there are more entries of refusals than this, the oldest of whoever has the most of one
    /// kind go; and likewise of tries of those who have proven nothing, which are counted apart. Where
    /// there are more accounts and kinds than this, each keeps its newest entry, and of these the oldest
    /// go.
    pub max_refusals: u64,
    /// When there are more entries of uses of keys than this, the oldest of whoever has the most go.
    pub max_uses: u64,
}
