//! The servers of a URL, and which of them is to be used.

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_postgres::{
    AsyncMessage, Client, Connection, Socket,
    error::SqlState,
    tls::{MakeTlsConnect, TlsStream},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::history::{Histories, History, Said};
use crate::postgres::{error::PostgresError, url::Server};

/// How much earlier the server is asked that last took writes.
const HEAD_START: Duration = Duration::from_millis(100);
/// How long those are waited for at most that do not answer, while others do: no less than connecting may take
/// by default, so that none counts elsewhere that is not seen here.
const OTHERS: Duration = Duration::from_millis(2500);

/// The servers of a URL, and what is known of which of them counts.
pub(in crate::postgres) struct Servers {
    all: Vec<Server>,
    tls: MakeRustlsConnect,
    /// The server to try first: the last that took writes.
    first: AtomicUsize,
    pub(super) histories: Histories,
}

/// A connection to a server.
pub(in crate::postgres) struct Made {
    pub(in crate::postgres) client: Client,
    pub(in crate::postgres) connection:
        Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
    pub(in crate::postgres) history: History,
    pub(in crate::postgres) server: Server,
    /// Its place in the URL.
    pub(in crate::postgres) index: usize,
}

type Answer = (Made, Said);
type Attempts = JoinSet<(usize, Result<Answer, PostgresError>)>;

impl Servers {
    pub(in crate::postgres) fn new(servers: Vec<Server>, tls: MakeRustlsConnect) -> Self {
        Self { all: servers, tls, first: AtomicUsize::new(0), histories: Histories::default() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The one that last took writes.
    pub(super) fn first(&self) -> usize {
        self.first.load(Relaxed)
    }

    /// Whether no server is known that has replaced the one with that history.
    pub(in crate::postgres) fn counts(&self, history: &History) -> bool {
        self.histories.is_latest(history)
    }

    /// Connects to a server that takes writes: all are asked, the one that last did a little earlier, so that
    /// one that stands still holds up nobody. One that another has replaced is not taken, although it takes writes:
    /// who knows nothing yet waits a moment for all of them. Those that `is_spared` names are left alone.
    ///
    /// # Errors
    /// What one of the servers said, rather one that is no standby.
    pub(in crate::postgres) async fn find(
        &self,
        is_spared: impl Fn(usize) -> bool,
    ) -> Result<Made, PostgresError> {
        let knows = self.histories.are_known();
        let mut attempts = self.ask(knows.then(|| self.first()), is_spared);
        let (mut others, mut found, mut failure) = (pin!(sleep(OTHERS)), None, None);
        loop {
            let attempt = tokio::select! {
                biased;
                attempt = attempts.join_next() => attempt,
                () = &mut others, if found.is_some() => break,
            };
            let Some(attempt) = attempt else { break };
            let Ok((index, answer)) = attempt else { continue };
            let admitted = answer.and_then(|answer| self.admitted(answer));
            // What was just said may be that the one found before was replaced.
            if let Some(Err(error)) = found.as_ref().map(|found| self.admit(found)) {
                (found, failure) = (None, Some(error));
            }
            match admitted {
                Ok(admitted) => {
                    if found.is_none() {
                        self.first.store(index, Relaxed);
                    }
                    found.get_or_insert(admitted);
                    if knows {
                        break;
                    }
                }
                Err(error @ PostgresError::Lacking { .. }) if !knows => return Err(error),
                // That a standby takes no writes is known. Why the primary does not answer is news.
                Err(PostgresError::TakesNoWrites { .. }) if failure.is_some() => {}
                Err(error) => failure = Some(error),
            }
        }
        let nobody = || PostgresError::Refused { reason: "no server could be asked".to_owned() };
        found.map(|(made, _)| made).ok_or_else(|| failure.unwrap_or_else(nobody))
    }

    /// Asks every server whether one has replaced the one that is used, as no connection to that one tells. From
    /// then on that one does not count. Who does not answer is waited for a moment.
    ///
    /// # Errors
    /// When one takes writes that was promoted and lacks what another has.
    pub(in crate::postgres) async fn look_around(&self) -> Result<(), PostgresError> {
        let (mut attempts, mut looked) = (self.ask(None, |_| false), Ok(()));
        let looking = async {
            while let Some(attempt) = attempts.join_next().await {
                let Ok((_, Ok(answer))) = attempt else { continue };
                if let Err(error @ PostgresError::Lacking { .. }) = self.admitted(answer) {
                    looked = Err(error);
                }
            }
        };
        // Whoever is late may be away.
        let _: Result<(), _> = timeout(OTHERS, looking).await;
        looked
    }

    /// Asks all servers at once, or all others a little after `first`, and none that is spared.
    fn ask(&self, first: Option<usize>, is_spared: impl Fn(usize) -> bool) -> Attempts {
        let mut attempts = JoinSet::new();
        let asked = self.all.iter().cloned().enumerate().filter(|(index, _)| !is_spared(*index));
        for (index, server) in asked {
            let is_later = first.is_some_and(|first| first != index);
            let wait = if is_later { HEAD_START } else { Duration::ZERO };
            let (tls, kept) = (self.tls.clone(), self.histories.last_beat());
            attempts.spawn(async move {
                sleep(wait).await;
                let mut answer = connect_to(index, server, tls).await;
                if let Ok((_, said)) = &mut answer {
                    said.must_have = kept;
                }
                (index, answer)
            });
        }
        attempts
    }

    fn admitted(&self, answer: Answer) -> Result<Answer, PostgresError> {
        self.admit(&answer).map(|()| answer)
    }

    fn admit(&self, (made, said): &Answer) -> Result<(), PostgresError> {
        self.histories.admit(&made.server.name, said)
    }
}

/// Connects to one server, and asks what it says of itself.
async fn connect_to(
    index: usize,
    server: Server,
    tls: MakeRustlsConnect,
) -> Result<Answer, PostgresError> {
    let (patience, name) = (server.patience(), server.name.clone());
    let making = async {
        let connected = server.config.connect(tls).await;
        let (client, mut connection) =
            connected.map_err(|error| PostgresError::connecting(&server.name, &error))?;
        let unheeded = AtomicBool::new(false);
        let said = tokio::select! {
            said = Said::by(&client) => said?,
            () = drive(&mut connection, &unheeded) => {
                let reason = "it ended the connection".to_owned();
                return Err(PostgresError::CannotConnect { server: server.name.clone(), reason });
            }
        };
        Ok((Made { client, connection, history: said.history.clone(), server, index }, said))
    };
    let too_slow = |_| PostgresError::TooSlow { server: name, seconds: patience.as_secs() };
    timeout(patience, making).await.map_err(too_slow)?
}

/// Carries messages between the client and the server, until the connection ends.
pub(in crate::postgres) async fn drive(
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
