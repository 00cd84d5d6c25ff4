//! Ports that fail when a test says so.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::ports::{
    ChangeCursor, ChangesSince, LimitKey, NotAdmitted, Ports, RateLimit, RateLimiter, Retention,
    StoreCondition, StoreError, StoreUpkeep, WindowLimiter, WouldBeLost,
};
use countersign_protocol::{
    ReplayEntry, UnixTime,
    ports::{Recording, ReplayError, ReplayLog},
    replay::{FoundNew, LogEpoch, ReplayOwner},
};
use countersign_testkit::store_parts::StoreParts;
use parking_lot::Mutex;

/// What a failing store says of itself, which no client may learn.
pub(crate) const CAUSE: &str = "disk 7 of the vault in cellar B is on fire";

/// How the store fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is away.
    Unavailable,
    /// It holds nonsense.
    Corrupt,
    /// It refuses, because it would not surely keep what it acknowledges.
    Forgetful,
    /// It works, but the replay log does not.
    ReplayLog,
    /// It works, but does not say what others changed.
    Deaf,
    /// It works, but nothing can be counted, save requests at this server.
    Limiters,
    /// It works, but guesses at one name from everywhere cannot be counted.
    Guesses,
}

/// The switch by which ports fail; its clones are one switch.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<Fault>>>, Arc<AtomicU64>);

impl Faults {
    pub(crate) fn set(&self, fault: Fault) {
        *self.0.lock() = Some(fault);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = None;
    }

    /// The same ports, each of which fails when it is told to.
    pub(super) fn around(&self, mut ports: Ports) -> Ports {
        let faults = self.clone();
        StoreParts::replace(&mut ports.store, |parts| {
            parts.upkeep =
                Arc::new(DeafUpkeep { faults: faults.clone(), upkeep: Arc::clone(&parts.upkeep) });
            parts.fault = Arc::new(move || faults.check_store());
        });
        let log = FailingLog { faults: self.clone(), log: ports.state.replay_log };
        ports.state.replay_log = Arc::new(log);
        let failing = |limiter| Arc::new(FailingLimiter { faults: self.clone(), limiter });
        ports.state.rate_limiter = failing(ports.state.rate_limiter);
        ports.state.keyring_tries = failing(ports.state.keyring_tries);
        let limiter = ports.state.window_limiter;
        ports.state.window_limiter = Arc::new(FailingWindow { faults: self.clone(), limiter });
        ports
    }

    /// How often the store was called.
    pub(crate) fn store_calls(&self) -> u64 {
        self.1.load(Relaxed)
    }

    fn check_limiters(&self, limit: &str) -> Result<(), NotAdmitted> {
        match *self.0.lock() {
            Some(Fault::Limiters) => Err(NotAdmitted::Unavailable),
            Some(Fault::Guesses) if limit == "guesses-from-everywhere" => {
                Err(NotAdmitted::Unavailable)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_store(&self) -> Result<(), StoreError> {
        self.1.fetch_add(1, Relaxed);
        match *self.0.lock() {
            Some(Fault::Unavailable) => Err(StoreError::Unavailable(CAUSE.into())),
            Some(Fault::Corrupt) => {
                Err(StoreError::Corrupt { what: format!("accounts.status: {CAUSE}") })
            }
            Some(Fault::Forgetful) => {
                Err(StoreError::Unavailable(Box::new(WouldBeLost { reason: CAUSE })))
            }
            Some(Fault::Deaf | Fault::ReplayLog | Fault::Limiters | Fault::Guesses) | None => {
                Ok(())
            }
        }
    }
}

struct DeafUpkeep {
    faults: Faults,
    upkeep: Arc<dyn StoreUpkeep>,
}

#[async_trait]
impl StoreUpkeep for DeafUpkeep {
    async fn changes(&self, since: Option<ChangeCursor>) -> Result<ChangesSince, StoreError> {
        if matches!(*self.faults.0.lock(), Some(Fault::Deaf)) {
            return Err(StoreError::Unavailable(CAUSE.into()));
        }
        self.upkeep.changes(since).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.upkeep.check().await
    }

    fn condition(&self) -> StoreCondition {
        self.upkeep.condition()
    }

    async fn tidy(&self) -> Result<bool, StoreError> {
        self.upkeep.tidy().await
    }

    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError> {
        self.upkeep.prune(now, retention).await
    }
}

struct FailingLimiter {
    faults: Faults,
    limiter: Arc<dyn RateLimiter>,
}

#[async_trait]
impl RateLimiter for FailingLimiter {
    async fn take_many(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        count: u32,
        now: Duration,
    ) -> Result<(), NotAdmitted> {
        self.faults.check_limiters(limit.name)?;
        self.limiter.take_many(limit, key, count, now).await
    }

    async fn give_back_many(&self, limit: &RateLimit, key: LimitKey, count: u32) {
        self.limiter.give_back_many(limit, key, count).await;
    }
}

struct FailingWindow {
    faults: Faults,
    limiter: Arc<dyn WindowLimiter>,
}

#[async_trait]
impl WindowLimiter for FailingWindow {
    async fn enter(&self, key: LimitKey, now: Duration) -> Result<(), NotAdmitted> {
        self.faults.check_limiters("passwords")?;
        self.limiter.enter(key, now).await
    }

    async fn answered(&self, key: LimitKey, now: Duration) {
        self.limiter.answered(key, now).await;
    }
}

struct FailingLog {
    faults: Faults,
    log: Arc<dyn ReplayLog>,
}

impl ReplayLog for FailingLog {
    fn epoch(&self) -> LogEpoch {
        self.log.epoch()
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        if matches!(*self.faults.0.lock(), Some(Fault::ReplayLog)) {
            return Box::pin(ready(Err(ReplayError::Unavailable(CAUSE.into()))));
        }
        self.log.check_and_insert(entry, found, owner, now)
    }

    fn entries(&self) -> Option<u64> {
        self.log.entries()
    }

    fn is_volatile(&self) -> bool {
        self.log.is_volatile()
    }
}
