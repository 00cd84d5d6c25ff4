//! The connections of a node.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use countersign_authority::trouble::{Lasts, Trouble};
use countersign_protocol::{
    ports::{Random, random_bytes},
    replay::LogEpoch,
};
use parking_lot::RwLock;
use tokio::{
    sync::{Notify, Semaphore},
    time::{sleep, timeout},
};
use tokio_postgres::Error;

use super::{
    away::Away,
    epoch::{self, KnownEpoch},
    link::{Candidate, Link},
    node_clock::NodeClock,
    options::StateOptions,
    statements::SETTINGS,
    under_way::UnderWay,
};
use crate::postgres::{
    connector::Servers,
    error::PostgresError,
    failure::{Class, said},
    tls,
    url::{DatabaseUrl, Server},
};
use crate::{
    operation::{Operation, Stopwatch},
    rows::millis,
};

/// The pause before the first attempt to connect anew, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Several connections to the database, each of which comes back by itself, and what is known from them.
pub(super) struct Links {
    servers: Servers,
    random: Arc<dyn Random>,
    skew: Duration,
    answer_within: Duration,
    /// Requests that were not answered yet.
    in_flight: Arc<Semaphore>,
    /// The last is for upkeep.
    slots: Vec<RwLock<Option<Arc<Link>>>>,
    /// Which connection is asked next.
    next: AtomicUsize,
    pub(super) clock: NodeClock,
    pub(super) epoch: KnownEpoch,
    stopwatch: Arc<Stopwatch>,
    /// Told whenever there is a new connection.
    pub(super) connected: Notify,
}

impl Links {
    /// Makes all connections.
    pub(super) async fn open(
        url: &DatabaseUrl,
        options: &StateOptions,
    ) -> Result<Self, PostgresError> {
        let servers = Servers::new(servers(url), tls::connector(url)?);
        let clock = NodeClock::new(Arc::clone(&options.clock));
        let (mut slots, mut last) = (Vec::new(), None);
        for _ in 0..=options.connections.max(1) {
            let candidate = candidate(&*options.random, &clock, options.clock_skew);
            let (link, epoch) = Link::open(servers.find(|_| false).await?, &candidate).await?;
            slots.push(RwLock::new(Some(Arc::new(link))));
            last = Some(epoch);
        }
        let none = || PostgresError::Damaged { reason: "the epoch of the state".to_owned() };
        let links = Self {
            servers,
            random: Arc::clone(&options.random),
            skew: options.clock_skew,
            answer_within: options.answer_within,
            in_flight: Arc::new(Semaphore::new(options.in_flight.min(Semaphore::MAX_PERMITS))),
            slots,
            next: AtomicUsize::new(0),
            clock,
            epoch: KnownEpoch::new(last.ok_or_else(none)?),
            stopwatch: Arc::clone(&options.stopwatch),
            connected: Notify::new(),
        };
        links.give_up_replaced();
        Ok(links)
    }

    async fn connect(&self) -> Result<(Link, LogEpoch), PostgresError> {
        Link::open(self.servers.find(|_| false).await?, &self.candidate()).await
    }

    /// Sees whether another server has replaced the one that is used.
    pub(super) async fn look_around(&self) {
        if let Err(error) = self.servers.look_around().await {
            tracing::error!(%error, "the short-lived state stays where it is");
        }
        self.give_up_replaced();
    }

    /// How many connections there are to be.
    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Keeps the connection of `slot`, for as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>, slot: usize) {
        let (mut attempt, trouble) = (0, Trouble::default());
        loop {
            let link = self.slots[slot].read().clone();
            if let Some(link) = link {
                link.ended().await;
                *self.slots[slot].write() = None;
                attempt = 0;
                sleep(self.pause(attempt)).await;
            }
            let begun = self.stopwatch.begin();
            match self.connect().await {
                // Its server may have been replaced meanwhile.
                Ok((link, _)) if !self.counts(&link) => link.give_up(),
                Ok((link, epoch)) => {
                    if let Some(Lasts { failures, seconds }) =
                        trouble.passed(self.clock.monotonic())
                    {
                        tracing::info!(
                            failures,
                            seconds,
                            "the database of short-lived state can be reached again"
                        );
                    }
                    self.stopwatch.end(Operation::Reconnect, begun);
                    self.epoch.take_over(epoch);
                    *self.slots[slot].write() = Some(Arc::new(link));
                    self.give_up_replaced();
                    self.connected.notify_one();
                }
                Err(error) => {
                    // One of them says it for all.
                    if slot == 0
                        && let Some(Lasts { failures, seconds }) =
                            trouble.failed(self.clock.monotonic())
                    {
                        tracing::error!(
                            %error,
                            failures,
                            seconds,
                            "the database of short-lived state cannot be reached"
                        );
                    }
                    attempt += 1;
                    sleep(self.pause(attempt)).await;
                }
            }
        }
    }

    /// What `ask` gets to know over one of the connections.
    ///
    /// What was sent is read to its end, also when the caller has gone: until then it counts as under way.
    ///
    /// # Errors
    /// When it is not known in time. What was sent may have been done, and is not sent again.
    pub(super) async fn ask<T, A>(&self, ask: impl FnOnce(Arc<Link>) -> A) -> Result<T, Away>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let carrying = self.slots.len() - 1;
        let first = self.next.fetch_add(1, Relaxed);
        let slots = (0..carrying).map(|offset| first.wrapping_add(offset) % carrying);
        let link = slots.into_iter().find_map(|slot| self.open_link(slot));
        let asking = self.ask_over(link, self.answer_within, ask);
        self.stopwatch.measured(Operation::State, asking).await
    }

    /// The same for upkeep, which others need not wait for.
    pub(super) async fn ask_aside<T, A>(
        &self,
        within: Duration,
        ask: impl FnOnce(Arc<Link>) -> A,
    ) -> Result<T, Away>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.ask_over(self.open_link(self.slots.len() - 1), within, ask).await
    }

    fn open_link(&self, slot: usize) -> Option<Arc<Link>> {
        let is_of_use = |link: &&Arc<Link>| !link.is_closed() && self.counts(link);
        self.slots[slot].read().as_ref().filter(is_of_use).cloned()
    }

    /// Whether what its server says still counts.
    fn counts(&self, link: &Link) -> bool {
        self.servers.counts(&link.history)
    }

    /// Ends the connections to servers that another one has replaced. What waits on them fails at once.
    fn give_up_replaced(&self) {
        let links = self.slots.iter().filter_map(|slot| slot.read().clone());
        links.filter(|link| !self.counts(link)).for_each(|link| link.give_up());
    }

    async fn ask_over<T, A>(
        &self,
        link: Option<Arc<Link>>,
        within: Duration,
        ask: impl FnOnce(Arc<Link>) -> A,
    ) -> Result<T, Away>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let link = link.ok_or(Away::NoConnection)?;
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| Away::Full)?;
        let (answers, asking) = (link.answers(), ask(Arc::clone(&link)));
        let answering = Arc::clone(&link);
        let asking = UnderWay::new(async move {
            let answer = asking.await;
            answering.has_answered();
            drop(permit);
            answer
        });
        let Ok(answer) = timeout(within, asking).await else {
            if link.answers() == answers {
                // Not slow, but silent.
                link.give_up();
            }
            return Err(Away::Late);
        };
        if !self.counts(&link) {
            return Err(Away::Failed("another server has replaced it".into()));
        }
        answer.map_err(|error| self.failed(&link, &error))
    }

    fn failed(&self, link: &Link, error: &Error) -> Away {
        match Class::of(error) {
            // The server says that no connection to it is of use any more.
            Class::Gone if error.code().is_some() => {
                self.slots
                    .iter()
                    .filter_map(|slot| slot.read().clone())
                    .for_each(|link| link.give_up());
            }
            Class::Gone | Class::Lost | Class::Late => link.give_up(),
            Class::Contended | Class::Refused => {}
        }
        Away::Failed(said(error).into())
    }

    /// Takes over the epoch that the database is in, and begins one where there is none.
    pub(super) async fn ask_epoch(&self) -> Result<LogEpoch, Away> {
        let candidate = self.candidate();
        let row = self.ask(async move |link: Arc<Link>| link.begin_epoch(&candidate).await).await?;
        let epoch = epoch::read(&row)?;
        self.epoch.take_over(epoch);
        Ok(epoch)
    }

    fn candidate(&self) -> Candidate {
        candidate(&*self.random, &self.clock, self.skew)
    }

    /// How long to wait before another attempt: twice as long each time, and between half and all of it, so
    /// that nodes which lost the database at one moment do not all come back at one moment.
    fn pause(&self, attempt: u32) -> Duration {
        let (shortest, longest) = PAUSES;
        let pause = shortest.saturating_mul(1 << attempt.min(8)).min(longest);
        let part = f64::from(u16::from_be_bytes(random_bytes(&*self.random))) / f64::from(u16::MAX);
        pause.mul_f64(f64::midpoint(1.0, part))
    }
}

fn candidate(random: &dyn Random, clock: &NodeClock, skew: Duration) -> Candidate {
    Candidate {
        id: random_bytes(random),
        now_millis: millis(clock.now()),
        skew_millis: i64::try_from(skew.as_millis()).unwrap_or(i64::MAX),
    }
}

/// The servers, with the settings that connections for this have.
fn servers(url: &DatabaseUrl) -> Vec<Server> {
    let mut servers = url.servers();
    for Server { config, .. } in &mut servers {
        let options = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{options} {SETTINGS}"));
    }
    servers
}
