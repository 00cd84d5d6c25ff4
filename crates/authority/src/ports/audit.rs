//! The audit trail.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{
    audit::{AuditEvent, AuditFilter, RecordedEvent},
    trail::{TrailPage, TrailQuery},
};

/// The audit trail.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends events that no other change carries.
    ///
    /// Here and with every change: a refusal that is like one of the same hour is told by the entry
    /// of that one, which counts it; and so is the use of a key that is like one of the same day.
    async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// A page of the events of one account. Its cost is bounded by
    /// [`look_at`](TrailQuery::look_at), whatever the account has in its trail.
    async fn trail_page(&self, query: &TrailQuery) -> Result<TrailPage, StoreError>;

    /// Events that fit `filter`, newest first, at most `limit`. All of the trail may be read for it, so it
    /// is not for clients.
    async fn events(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, StoreError>;
}
