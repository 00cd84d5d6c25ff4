//! How long a connection may have no request under way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::time::sleep;

use super::limits::ConnectionLimits;

/// The activity of a connection, for its time limits.
///
/// The HTTP library has a timer for the heads of HTTP/1 requests, and none for the choice between
/// the versions, for HTTP/2 or for a client that does not fetch its answer. This covers all of
/// them, and costs a request two increments instead of a timer.
#[derive(Default)]
pub(super) struct Activity {
    under_way: AtomicUsize,
    /// Counts beginnings and ends of requests.
    changes: AtomicU64,
}

impl Activity {
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Ready when the connection has had no request for too long.
    pub(super) async fn expires(&self, limits: &ConnectionLimits) {
        sleep(limits.head_time).await;
        let mut seen = 0;
        loop {
            let changes = self.changes.load(Ordering::Acquire);
            if changes == seen && !self.is_busy() {
                return;
            }
            seen = changes;
            sleep(limits.idle_time).await;
        }
    }
}

/// One request under way.
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::AcqRel);
        activity.changes.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
