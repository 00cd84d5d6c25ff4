//! The part of the audit trail that no change carries: refusals, noted in passing.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::audit::AuditEvent;

/// More waiting events than this are dropped, and counted.
const CAPACITY: usize = 4096;

/// Events that wait to be written. Noting one never waits and never fails; a flood of refusals
/// costs bounded memory and delays nobody.
#[derive(Default)]
pub(crate) struct Trail {
    waiting: Mutex<VecDeque<AuditEvent>>,
    arrived: Notify,
    dropped: AtomicU64,
}

impl Trail {
    pub(crate) fn note(&self, event: AuditEvent) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= CAPACITY {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push_back(event);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits until something was noted.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self) -> Vec<AuditEvent> {
        self.waiting.lock().drain(..).collect()
    }

    /// Counts events that were taken but could not be written.
    pub(crate) fn lost(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
