//! The audit trail.

use async_trait::async_trait;

use super::StoreError;
use crate::model::audit::{AuditEvent, AuditFilter, RecordedEvent};

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
}
