//! The time between the request to stop and the end of the sockets, in which a load balancer notices.

use std::time::Duration;

use tokio::{sync::mpsc, time::sleep};

/// Requests to stop. The second one says: at once.
pub(crate) type StopRequests = mpsc::Receiver<()>;

/// Waits for a request to stop, calls `announce`, and is ready `delay` later, or when `requests` has
/// another one.
pub(super) async fn until_drained(
    mut requests: StopRequests,
    delay: Duration,
    announce: impl FnOnce(),
) {
    requests.recv().await;
    announce();
    if !delay.is_zero() {
        tracing::info!(seconds = delay.as_secs(), "stopping: not ready any more, and serves on");
        tokio::select! {
            () = sleep(delay) => {}
            Some(()) = requests.recv() => {}
        }
    }
    tracing::info!("stopping: requests under way may finish");
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

    use super::*;

    const DELAY: Duration = Duration::from_secs(5);
    const MILLI: Duration = Duration::from_millis(1);

    /// A server that drains: somebody has asked it to stop, and can ask again.
    async fn draining(delay: Duration) -> (mpsc::Sender<()>, JoinHandle<()>) {
        let (ask, requests) = mpsc::channel(1);
        let (announce, announced) = oneshot::channel();
        let mut drained =
            tokio::spawn(until_drained(requests, delay, || announce.send(()).unwrap()));
        assert!(!is_done_within(Duration::from_hours(1), &mut drained).await, "nobody has asked");
        ask.send(()).await.unwrap();
        timeout(MILLI, announced).await.expect("at once").unwrap();
        (ask, drained)
    }

    async fn is_done_within(time: Duration, drained: &mut JoinHandle<()>) -> bool {
        timeout(time, drained).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_sockets_stay_for_the_delay() {
        let (_ask, mut drained) = draining(DELAY).await;
        assert!(!is_done_within(DELAY * 9 / 10, &mut drained).await);
        assert!(is_done_within(DELAY / 10 + MILLI, &mut drained).await);

        let (_ask, mut drained) = draining(Duration::ZERO).await;
        assert!(is_done_within(MILLI, &mut drained).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_ends_the_delay() {
        let (ask, mut drained) = draining(DELAY).await;
        assert!(!is_done_within(DELAY / 2, &mut drained).await);
        ask.send(()).await.unwrap();
        assert!(is_done_within(MILLI, &mut drained).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_can_ask_no_more_does_not_end_the_delay() {
        let (ask, mut drained) = draining(DELAY).await;
        drop(ask);
        assert!(!is_done_within(DELAY / 2, &mut drained).await);
        assert!(is_done_within(DELAY, &mut drained).await);
    }
}
