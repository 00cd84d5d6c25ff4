//! When this server last saw that the database keeps what it is told, and by when its news are none any more.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use countersign_authority::ports::StoreError;
use countersign_protocol::{UnixTime, ports::Clock};
use parking_lot::Mutex;
use thiserror::Error;

/// For how long after its last heartbeat a server may take what it reads for news.
const CONFIRMED_FOR: Duration = Duration::from_secs(12);

/// When a server last saw that the database still keeps what it is told, and that no other has replaced it.
///
/// A primary that was replaced while it stood still answers reads for ever, and has no news. But it commits
/// nothing when it must wait for a standby which follows another one now.
#[derive(Default)]
pub(super) struct Beats {
    /// That of a server. A command has none.
    clock: OnceLock<Arc<dyn Clock>>,
    /// When the last heartbeat began that was kept.
    last: Mutex<Option<Moment>>,
}

/// A moment by both clocks: the monotonic one may stand still while the machine sleeps, and the time of day may be
/// set back.
#[derive(Clone, Copy)]
struct Moment {
    monotonic: Duration,
    time: UnixTime,
}

/// The database may be one that was replaced.
#[derive(Debug, Error)]
#[error(
    "the database has kept no heartbeat of this server for {} seconds: it may have been replaced by another \
     one, so what it tells is no news",
    CONFIRMED_FOR.as_secs()
)]
struct Unconfirmed;

impl Moment {
    fn now(clock: &dyn Clock) -> Self {
        Self { monotonic: clock.monotonic(), time: clock.now() }
    }

    /// How long ago that was, by the clock that says more.
    fn age(self, now: Self) -> Duration {
        now.monotonic.saturating_sub(self.monotonic).max(now.time.since(self.time))
    }
}

impl Beats {
    /// From now on heartbeats count, by `clock`. Only the first call counts.
    pub(super) fn begin(&self, clock: Arc<dyn Clock>) {
        let _: Result<(), Arc<dyn Clock>> = self.clock.set(clock);
    }

    /// Does `beat`, which surely writes, and takes note if it was kept. It counts from when it began.
    pub(super) async fn of<T, E>(&self, beat: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let begun = self.clock.get().map(|clock| Moment::now(&**clock));
        let kept = beat.await;
        if kept.is_ok() && begun.is_some() {
            *self.last.lock() = begun;
        }
        kept
    }

    /// Whether what was read until now counts as news: always for who has no heartbeat, as commands.
    pub(super) fn confirm(&self) -> Result<(), StoreError> {
        match (self.clock.get(), *self.last.lock()) {
            (Some(clock), Some(last)) if last.age(Moment::now(&**clock)) >= CONFIRMED_FOR => {
                Err(StoreError::Unavailable(Box::new(Unconfirmed)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Clocks that a test sets.
    #[derive(Default)]
    struct Hands(Mutex<(Duration, UnixTime)>);

    impl Hands {
        fn set(&self, monotonic: u64, time: u64) {
            *self.0.lock() = (Duration::from_secs(monotonic), UnixTime::from_secs(time));
        }
    }

    impl Clock for Hands {
        fn now(&self) -> UnixTime {
            self.0.lock().1
        }

        fn monotonic(&self) -> Duration {
            self.0.lock().0
        }
    }

    #[tokio::test]
    async fn news_count_for_a_while_after_a_heartbeat_and_for_who_has_none() {
        let (beats, hands) = (Beats::default(), Arc::new(Hands::default()));
        let kept = || async { Ok::<_, Infallible>(()) };
        let is_refused = || beats.confirm().is_err();
        beats.of(kept()).await.unwrap();
        assert!(!is_refused(), "a command");
        hands.set(1_000, 1_000);
        beats.begin(Arc::<Hands>::clone(&hands));
        assert!(!is_refused());
        // It counts from when it began.
        let slow = async {
            hands.set(1_003, 1_003);
            Ok::<_, Infallible>(())
        };
        beats.of(slow).await.unwrap();
        hands.set(1_011, 1_011);
        assert!(!is_refused());
        beats.of(async { Err::<(), _>("not kept") }).await.unwrap_err();
        for (monotonic, time) in [
            (1_012, 1_012),
            // The machine slept.
            (1_004, 1_012),
            // The time of day was set back.
            (1_012, 900),
        ] {
            hands.set(monotonic, time);
            let refused = beats.confirm().unwrap_err().to_string();
            assert!(refused.contains("it may have been replaced"), "{refused}");
        }
        beats.of(kept()).await.unwrap();
        assert!(!is_refused());
    }
}
