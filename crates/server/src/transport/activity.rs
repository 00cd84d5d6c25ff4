//! How long a connection may have no request under way, or an answer that its client does not fetch.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use tokio::time::sleep;

use super::limits::ConnectionLimits;
use crate::http::response::in_memory;

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
    /// Which of the two counts of `unfetched` is the present one.
    turn: AtomicUsize,
    /// How many answers of HTTP/2 wait for the client to fetch them, of those that were made since the
    /// last look and of those before it. In HTTP/1 such an answer holds up the whole connection.
    unfetched: [AtomicUsize; 2],
}

impl Activity {
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Ready when the connection has had no request for too long, or an answer has waited for so long.
    pub(super) async fn expires(&self, limits: &ConnectionLimits) {
        sleep(limits.head_time).await;
        let mut seen = 0;
        loop {
            let changes = self.changes.load(Ordering::Acquire);
            if (changes == seen && !self.is_busy()) || self.has_answers_of_before() {
                return;
            }
            seen = changes;
            sleep(limits.idle_time).await;
        }
    }
}

impl Activity {
    /// Whether answers wait that were made before the last look. Those of now are of before at the next.
    fn has_answers_of_before(&self) -> bool {
        let before = 1 - self.turn.load(Ordering::Acquire);
        let wait = self.unfetched[before].load(Ordering::Acquire) > 0;
        self.turn.store(before, Ordering::Release);
        wait
    }
}

/// `answer`, which waits until the client of `activity` has fetched its body.
pub(super) fn until_fetched(activity: &Arc<Activity>, answer: Response) -> Response {
    let (head, mut body) = answer.into_parts();
    let Some(bytes) = in_memory(&mut body) else { return Response::from_parts(head, body) };
    let turn = activity.turn.load(Ordering::Acquire);
    activity.unfetched[turn].fetch_add(1, Ordering::AcqRel);
    let waiting = Waiting { bytes, activity: Arc::clone(activity), turn };
    Response::from_parts(head, Body::from(Bytes::from_owner(waiting)))
}

/// The body of an answer that waits.
struct Waiting {
    bytes: Bytes,
    activity: Arc<Activity>,
    turn: usize,
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.activity.unfetched[self.turn].fetch_sub(1, Ordering::AcqRel);
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

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use tokio::time::timeout;

    use super::*;

    const LIMITS: fn() -> ConnectionLimits = ConnectionLimits::default;

    /// Requests come and go in between, and each is fetched at once.
    async fn use_it(activity: &Arc<Activity>) {
        loop {
            let under_way = UnderWay::begin(activity);
            drop(until_fetched(activity, Response::new(Body::from("fetched"))));
            drop(under_way);
            sleep(Duration::from_secs(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_fetches_ends_a_connection_that_is_in_use() {
        let (activity, limits) = (Arc::default(), LIMITS());
        let _unfetched = until_fetched(&activity, Response::new(Body::from("not fetched")));
        let mut ended = pin!(async {
            tokio::select! {
                () = activity.expires(&limits) => {}
                () = use_it(&activity) => {}
            }
        });
        timeout(limits.idle_time, ended.as_mut()).await.unwrap_err();
        timeout(limits.idle_time, ended).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_fetched_in_time_end_nothing() {
        let (activity, limits) = (Arc::default(), LIMITS());
        let mut used = pin!(use_it(&activity));
        let mut expires = pin!(activity.expires(&limits));
        for _ in 0..20 {
            let slow = until_fetched(&activity, Response::new(Body::from("slow")));
            let both = async { tokio::join!(used.as_mut(), expires.as_mut()) };
            timeout(limits.idle_time, both).await.unwrap_err();
            drop(slow);
        }
    }
}
