//! Connections to the server that takes writes, and what is known of whether there is one.

mod history;
mod servers;

use std::{
    cell::Cell,
    future::Future,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Acquire},
        },
    },
    time::Duration,
};

use countersign_authority::{
    model::audit::Administrator,
    trouble::{Lasts, Trouble},
};
use countersign_protocol::digest::sha256;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use self::servers::drive;
pub(super) use self::{
    history::History,
    servers::{Made, Servers},
};
use super::{
    error::PostgresError,
    failure::Failure,
    live::{Live, Since},
    url::DatabaseUrl,
};
use crate::operation::Stopwatch;

/// The pause before the first attempt to connect anew, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Makes connections.
pub(super) struct Connector {
    servers: Servers,
    /// Whether statements are prepared on the server.
    pub(super) prepared: bool,
    /// Who acts in every change.
    pub(super) administrator: Option<Administrator>,
    spread: u64,
    /// Connections of an earlier generation must not be used any more.
    generation: AtomicU64,
    doubts: AtomicU64,
    begun: OnceLock<Instant>,
    pub(super) stopwatch: Arc<Stopwatch>,
    state: watch::Sender<State>,
}

/// What is known of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It was there.
    There,
    /// No connection could be made. Somebody tries again, and all others wait for that.
    Away(Arc<str>),
    /// The store is being closed.
    Closing,
}

impl Connector {
    pub(super) fn new(
        url: &DatabaseUrl,
        prepared: bool,
        administrator: Option<Administrator>,
        spread: u64,
    ) -> Result<Self, PostgresError> {
        Ok(Self {
            servers: Servers::new(url.servers(), super::tls::connector(url)?),
            prepared,
            administrator,
            spread,
            generation: AtomicU64::new(0),
            doubts: AtomicU64::new(0),
            begun: OnceLock::new(),
            stopwatch: Arc::default(),
            state: watch::Sender::new(State::There),
        })
    }

    /// Connects to the server that takes writes ([`Servers::find`]).
    ///
    /// # Errors
    /// What one of the servers said, rather one that is no standby.
    pub(super) async fn connect(&self) -> Result<Live, PostgresError> {
        self.connect_unless(|_| false).await
    }

    /// The same, but the servers that `is_spared` names are left alone.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(super) async fn connect_unless(
        &self,
        is_spared: impl Fn(usize) -> bool,
    ) -> Result<Live, PostgresError> {
        let (generation, doubts) = (self.generation.load(Acquire), self.doubts());
        let Made { client, mut connection, history, index, .. } =
            self.servers.find(is_spared).await?;
        let was_warned = Arc::new(AtomicBool::new(false));
        let warned = Arc::clone(&was_warned);
        let driver = tokio::spawn(async move { drive(&mut connection, &warned).await });
        let since = Since { server: index, generation, history, doubts: Cell::new(doubts) };
        Ok(Live::new(client, driver, since, was_warned, self.prepared))
    }

    /// How many servers there are.
    pub(super) fn servers(&self) -> usize {
        self.servers.count()
    }

    /// The one that last took writes.
    pub(super) fn first(&self) -> usize {
        self.servers.first()
    }

    /// Sees whether another server has replaced the one that is used ([`Servers::look_around`]).
    ///
    /// # Errors
    /// When one takes writes that was promoted and lacks what another has.
    pub(super) async fn look_around(&self) -> Result<(), PostgresError> {
        self.servers.look_around().await
    }

    /// The database has kept the heartbeat number `beats` of the server called `node`. From now on one that was
    /// promoted without it is not used.
    pub(super) fn note_beat(&self, node: &str, beats: i64) {
        self.servers.histories.note_beat(node, beats);
    }

    /// Whether a connection may still be used: nothing has ended all that are as old, and no server is known
    /// that has replaced its own.
    pub(super) fn is_current(&self, since: &Since) -> bool {
        self.generation.load(Acquire) == since.generation && self.servers.counts(&since.history)
    }

    /// From now on no connection that is as old as one of `generation` is used. The first that notices
    /// decides for all.
    pub(super) fn give_up(&self, generation: u64) {
        let next = generation.wrapping_add(1);
        if self.generation.compare_exchange(generation, next, AcqRel, Acquire).is_ok() {
            tracing::warn!("the database server is gone; all connections to it are given up");
        }
    }

    /// How often there was reason to doubt whether the server still answers.
    pub(super) fn doubts(&self) -> u64 {
        self.doubts.load(Acquire)
    }

    /// A connection has not answered in time. Whoever has another one asks it first whether it does.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, AcqRel);
    }

    /// Fails while it is known that no connection can be made.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match &*self.state.borrow() {
            State::There => Ok(()),
            State::Away(reason) => Err(Failure::Away(Arc::clone(reason))),
            State::Closing => Err(Failure::Away("the store is being closed".into())),
        }
    }

    /// No connection could be made. Until [`Self::bring_back`] has made one, nobody else tries.
    pub(super) fn went_away(&self, error: &PostgresError) -> Failure {
        let reason: Arc<str> = error.to_string().into();
        let failure = Failure::Away(Arc::clone(&reason));
        self.doubt();
        self.state.send_if_modified(|state| {
            let is_news = *state == State::There;
            if is_news {
                tracing::error!(%reason, "the database cannot be reached");
                *state = State::Away(reason);
            }
            is_news
        });
        failure
    }

    /// Tries to connect whenever the database is away, one attempt at a time, until the store is closed.
    pub(super) async fn bring_back(&self) {
        let mut closing = self.state.subscribe();
        let is_closing = closing.wait_for(|state| *state == State::Closing);
        unless(is_closing, async {
            let mut state = self.state.subscribe();
            while state.wait_for(|state| matches!(state, State::Away(_))).await.is_ok() {
                self.connect_again().await;
            }
        })
        .await;
    }

    async fn connect_again(&self) {
        let (mut attempt, trouble) = (0, Trouble::default());
        // That it went away was said.
        trouble.failed(self.up_for());
        loop {
            sleep(self.pause(attempt)).await;
            match self.connect().await {
                Ok(live) => {
                    live.close().await;
                    break;
                }
                Err(error) => {
                    let reason: Arc<str> = error.to_string().into();
                    if let Some(Lasts { failures, seconds }) = trouble.failed(self.up_for()) {
                        tracing::error!(%reason, failures, seconds, "the database cannot be reached");
                    }
                    self.leave_away(|| State::Away(reason));
                }
            }
            attempt += 1;
        }
        if let Some(Lasts { failures, seconds }) = trouble.passed(self.up_for()) {
            tracing::info!(failures, seconds, "the database can be reached again");
        }
        self.leave_away(|| State::There);
    }

    /// How long ago it was first asked this. Within a runtime.
    pub(super) fn up_for(&self) -> Duration {
        let now = moment();
        now.duration_since(*self.begun.get_or_init(|| now))
    }

    fn leave_away(&self, next: impl FnOnce() -> State) {
        self.state.send_if_modified(|state| {
            let is_away = matches!(state, State::Away(_));
            if is_away {
                *state = next();
            }
            is_away
        });
    }

    /// How long to wait before another attempt: twice as long each time, and between half and all of it, so
    /// that servers which lost the database at one moment do not all come back at one moment.
    fn pause(&self, attempt: u32) -> Duration {
        let (shortest, longest) = PAUSES;
        let pause = shortest.saturating_mul(1 << attempt.min(8)).min(longest);
        let [a, b, ..] = sha256(&[&self.spread.to_be_bytes(), &attempt.to_be_bytes()]);
        let part = f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX);
        pause.mul_f64(f64::midpoint(1.0, part))
    }

    /// Returns when the store is being closed.
    pub(super) async fn closing(&self) {
        let mut state = self.state.subscribe();
        // Its sender is here.
        let _: Result<_, _> = state.wait_for(|state| *state == State::Closing).await.map(drop);
    }

    /// Ends [`Self::bring_back`], and [`Self::closing`].
    pub(super) fn close(&self) {
        self.state.send_replace(State::Closing);
    }
}

/// Runs `work` until it ends or `end` comes.
async fn unless<T>(end: impl Future<Output = T>, work: impl Future<Output = ()>) {
    let (end, work) = (pin!(end), pin!(work));
    tokio::select! {
        _ = end => {}
        () = work => {}
    }
}

/// The present moment, as a timer has it: how long ago something was is all that matters, and no rule hears of it.
fn moment() -> Instant {
    sleep(Duration::ZERO).deadline()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_lost_the_database_together_come_back_one_by_one() {
        let url: DatabaseUrl = "postgres://localhost/auth".parse().unwrap();
        let of = |spread| Connector::new(&url, true, None, spread).unwrap();
        let (one, other) = (of(1), of(2));
        for attempt in 0..20 {
            let pause = one.pause(attempt);
            assert!(pause >= PAUSES.0 / 2 && pause <= PAUSES.1, "{pause:?}");
            assert_ne!(pause, other.pause(attempt));
        }
        assert!(one.pause(10) >= PAUSES.1 / 2);
    }
}
