//! Connections to the server that takes writes, and what is known of whether there is one.

pub(super) mod history;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
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
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{
    AsyncMessage, Client, Connection, Socket,
    error::SqlState,
    tls::{MakeTlsConnect, TlsStream},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::history::{Admitted, Histories, History};
use super::{
    changes::moment,
    error::PostgresError,
    failure::Failure,
    live::{Live, Since},
    url::{DatabaseUrl, Server},
};
use crate::operation::Stopwatch;

/// The pause before the first attempt to connect anew, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How much earlier the server is asked that last took writes.
const HEAD_START: Duration = Duration::from_millis(100);

/// Makes connections.
pub(super) struct Connector {
    servers: Vec<Server>,
    tls: MakeRustlsConnect,
    /// Whether statements are prepared on the server.
    pub(super) prepared: bool,
    /// Who acts in every change.
    pub(super) administrator: Option<Administrator>,
    spread: u64,
    /// The server to try first: the last that took writes.
    first: AtomicUsize,
    /// Connections of an earlier generation must not be used any more.
    generation: AtomicU64,
    histories: Histories,
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
            servers: url.servers(),
            tls: super::tls::connector(url)?,
            prepared,
            administrator,
            spread,
            first: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            histories: Histories::default(),
            doubts: AtomicU64::new(0),
            begun: OnceLock::new(),
            stopwatch: Arc::default(),
            state: watch::Sender::new(State::There),
        })
    }

    /// Connects to a server that takes writes: all are asked, the one that last did a little earlier, so that
    /// one that stands still holds up nobody. One that another has replaced is not taken, although it takes writes.
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
        let (first, mut attempts) = (self.first.load(Relaxed), JoinSet::new());
        for (index, server) in self.servers.iter().cloned().enumerate() {
            if is_spared(index) {
                continue;
            }
            let (tls, wait) =
                (self.tls.clone(), if index == first { Duration::ZERO } else { HEAD_START });
            attempts.spawn(async move {
                sleep(wait).await;
                (index, connect_to(&server, tls).await)
            });
        }
        let mut failure = None;
        while let Some(attempt) = attempts.join_next().await {
            let attempt = attempt.map(|(index, made)| {
                let admit = |made: Made| Ok((self.admit(index, &made.history, generation)?, made));
                (index, made.and_then(admit))
            });
            match attempt {
                Ok((index, Ok((generation, Made { client, connection, .. })))) => {
                    attempts.shutdown().await;
                    self.first.store(index, Relaxed);
                    let was_warned = Arc::new(AtomicBool::new(false));
                    let warned = Arc::clone(&was_warned);
                    let mut connection = connection;
                    let driver = tokio::spawn(async move { drive(&mut connection, &warned).await });
                    let since = Since { server: index, generation, doubts: Cell::new(doubts) };
                    return Ok(Live::new(client, driver, since, was_warned, self.prepared));
                }
                // That a standby takes no writes is known. Why the primary does not answer is news.
                Ok((_, Err(PostgresError::TakesNoWrites { .. }))) if failure.is_some() => {}
                Ok((_, Err(error))) => failure = Some(error),
                Err(_) => {}
            }
        }
        let nobody = || PostgresError::Refused { reason: "no server could be asked".to_owned() };
        Err(failure.unwrap_or_else(nobody))
    }

    /// How many servers there are.
    pub(super) const fn servers(&self) -> usize {
        self.servers.len()
    }

    /// The one that last took writes.
    pub(super) fn first(&self) -> usize {
        self.first.load(Relaxed)
    }

    /// The generation of a new connection. If its server has replaced the one that was known, all older
    /// connections end.
    fn admit(
        &self,
        server: usize,
        history: &History,
        generation: u64,
    ) -> Result<u64, PostgresError> {
        let name = self.servers.get(server).map_or("", |server| &server.name);
        Ok(match self.histories.admit(name, history)? {
            Admitted::Known => generation,
            Admitted::Newer => {
                tracing::warn!(server = name, "another database server has replaced the old one");
                self.generation.fetch_add(1, AcqRel).wrapping_add(1)
            }
        })
    }

    /// Whether a connection of `generation` may still be used.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Acquire) == generation
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

/// A connection to a server that takes writes.
struct Made {
    client: Client,
    connection: Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
    history: History,
}

/// Connects to one server, and asks for its history.
async fn connect_to(server: &Server, tls: MakeRustlsConnect) -> Result<Made, PostgresError> {
    let patience = server.patience();
    let making = async {
        let connected = server.config.connect(tls).await;
        let (client, mut connection) =
            connected.map_err(|error| PostgresError::connecting(&server.name, &error))?;
        let unheeded = AtomicBool::new(false);
        let history = tokio::select! {
            history = History::of(&client) => history?,
            () = drive(&mut connection, &unheeded) => {
                let reason = "it ended the connection".to_owned();
                return Err(PostgresError::CannotConnect { server: server.name.clone(), reason });
            }
        };
        Ok(Made { client, connection, history })
    };
    let too_slow =
        |_| PostgresError::TooSlow { server: server.name.clone(), seconds: patience.as_secs() };
    timeout(patience, making).await.map_err(too_slow)?
}

/// Carries messages between the client and the server, until the connection ends.
async fn drive(
    connection: &mut Connection<Socket, impl TlsStream + Unpin>,
    was_warned: &AtomicBool,
) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        // So the server says that it has stopped waiting for a standby, and then that it has committed.
        if let AsyncMessage::Notice(notice) = message
            && *notice.code() == SqlState::WARNING
        {
            tracing::warn!(message = notice.message(), "a warning of the database server");
            was_warned.store(true, Relaxed);
        }
    }
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
