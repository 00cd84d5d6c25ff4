//! Whether the database server may lose what it acknowledges, as each heartbeat finds.
//!
//! A start refuses such a server. A failover, or an operator, can take the setting away later, and then
//! nothing more is acknowledged.

use parking_lot::Mutex;

use super::failure::Failure;

/// What the last heartbeat has found.
pub(super) struct Losses {
    /// Whether the operator accepts them.
    are_accepted: bool,
    reason: Mutex<Option<&'static str>>,
}

impl Losses {
    /// None yet, because the start has looked.
    pub(super) const fn new(are_accepted: bool) -> Self {
        Self { are_accepted, reason: Mutex::new(None) }
    }

    /// Whether the operator accepts them.
    pub(super) const fn are_accepted(&self) -> bool {
        self.are_accepted
    }

    /// Takes notice of why the server may lose something, if it may, and logs what has become different.
    pub(super) fn note(&self, found: Option<&'static str>) {
        if self.are_accepted {
            return;
        }
        let before = std::mem::replace(&mut *self.reason.lock(), found);
        match (before, found) {
            (before, Some(reason)) if before != found => tracing::error!(
                reason,
                "acknowledged changes could be lost when the database server fails, so nothing is changed \
                 until its settings are right again"
            ),
            (Some(_), None) => {
                tracing::info!("the database server keeps what it acknowledges again");
            }
            _ => {}
        }
    }

    /// Refuses a change that could be lost after it was acknowledged.
    pub(super) fn check(&self) -> Result<(), Failure> {
        (*self.reason.lock()).map_or(Ok(()), |reason| Err(Failure::WouldBeLost(reason)))
    }
}
