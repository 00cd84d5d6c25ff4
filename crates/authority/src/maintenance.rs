//! The server's background work: rotating keys, writing refusals, removing expired entries, and
//! noticing changes by administrators.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use countersign_protocol::{
    UnixTime,
    clock_watch::{ClockWatch, Jump},
};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::{
    authority::Authority,
    core::{
        Core,
        revoked::{LateRevocation, READ},
    },
    keys::SigningKeyError,
    model::audit::AuditEvent,
    ports::{Clock, StoreError},
    trouble::{Lasts, Trouble},
};

/// How often the store is asked whether another process changed it: the longest time that an
/// administrator's change takes to reach a running server.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// How often the own clock is compared with the store's.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
const MAINTAIN_EVERY: Duration = Duration::from_mins(1);
/// How many accounts, or credentials, are looked at in one transaction.
const EXPIRE_BATCH: u32 = 200;
/// How often what the store has put off is done, and revocations that the store could not take are
/// tried again: the longest time for which they are in memory alone.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// How many events are written in one transaction, for which other servers wait.
const BATCH: usize = 200;
/// The pause before events are written that could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long a refusal may wait for others to be written together with it. A commit for each would
/// cost more than all else about it.
const GATHER: Duration = Duration::from_millis(50);

/// The housekeeping of an [`Authority`].
pub struct Maintenance {
    authority: Arc<Authority>,
    clock: ClockWatch,
    /// Whether it was set back when it was last looked at.
    went_back: AtomicBool,
    /// Whether tokens may count as revoked up to a moment that has not come.
    moments_are_ahead: AtomicBool,
    failing_events: Trouble,
}

impl Maintenance {
    /// Housekeeping for `authority`.
    pub fn new(authority: Arc<Authority>) -> Self {
        let clock = &authority.core.ports.clock;
        Self {
            clock: ClockWatch::new(clock.now(), clock.monotonic()),
            authority,
            went_back: AtomicBool::new(false),
            moments_are_ahead: AtomicBool::new(false),
            failing_events: Trouble::default(),
        }
    }

    /// Works until it is dropped. Failures are logged and tried again at the next turn. What others
    /// changed waits for nothing else: to make a key, or to remove many entries, can take seconds.
    pub async fn run(self) {
        let dialects = self.authority.dialects.run();
        tokio::join!(
            self.keep_up(),
            self.keep_time(),
            self.keep_clocks_compared(),
            self.keep_tidy(),
            self.keep_house(),
            self.keep_trail(),
            dialects
        );
    }

    async fn keep_up(&self) {
        let (mut watch, task) = (every(WATCH_EVERY), self.task("watch"));
        loop {
            watch.tick().await;
            self.authority.health.note_condition();
            task.report(self.take_over_changes().await);
        }
    }

    async fn keep_time(&self) {
        let (mut watch, task) = (every(WATCH_EVERY), self.task("clock"));
        loop {
            watch.tick().await;
            task.report(self.watch_clock().await);
        }
    }

    async fn keep_clocks_compared(&self) {
        let (mut turn, task) = (every(COMPARE_EVERY), self.task("comparing clocks"));
        loop {
            turn.tick().await;
            let compared = self.authority.health.compare_clocks().await;
            task.report(compared.map_err(Into::into));
        }
    }

    async fn keep_tidy(&self) {
        let (mut turn, task) = (every(TIDY_EVERY), self.task("tidying"));
        loop {
            turn.tick().await;
            task.report(self.tidy().await);
        }
    }

    async fn keep_house(&self) {
        let (mut turn, task) = (every(MAINTAIN_EVERY), self.task("maintenance"));
        loop {
            turn.tick().await;
            self.write_key_uses().await;
            task.report(self.maintain().await);
        }
    }

    async fn keep_trail(&self) {
        loop {
            self.authority.core.pending_events.arrived().await;
            sleep(GATHER).await;
            self.write_trail().await;
            if self.authority.core.key_uses.are_many() {
                self.write_key_uses().await;
            }
            if self.failing_events.is_there() {
                sleep(TRY_AGAIN).await;
                self.authority.core.pending_events.wake();
            }
        }
    }

    /// Writes down what still waits: the last act of a server.
    pub async fn finish(&self) {
        self.task("tidying").report(self.tidy().await);
        self.write_trail().await;
        self.write_key_uses().await;
        let Core { pending_events, key_uses, .. } = &*self.authority.core;
        let lost = count_of(&pending_events.take()) + count_of(&key_uses.take());
        if lost > 0 {
            tracing::error!(lost, "audit events were lost, because the server stops");
        }
    }

    /// Writes down the refusals that wait, in batches, so that other servers get their turn. What cannot be
    /// written waits on. It may have been written all the same, and is counted twice then: better than never.
    pub async fn write_trail(&self) {
        let Core { ports, pending_events, .. } = &*self.authority.core;
        let events = pending_events.take();
        let mut batches = events.chunks(BATCH);
        while let Some(batch) = batches.next() {
            let written = ports.store.append(batch.to_vec()).await;
            if self.has_failed(written) {
                pending_events.put_back(batch);
                batches.for_each(|batch| pending_events.put_back(batch));
                return;
            }
        }
    }

    /// Writes down which keys were used since the last time, in batches likewise.
    pub async fn write_key_uses(&self) {
        let Core { ports, pending_events, key_uses, .. } = &*self.authority.core;
        let uses = key_uses.take();
        let mut batches = uses.chunks(BATCH);
        while let Some(batch) = batches.next() {
            let written = ports.store.note_uses(batch.to_vec()).await;
            if self.has_failed(written) {
                let lost = key_uses.put_back(batch)
                    + batches.map(|batch| key_uses.put_back(batch)).sum::<u64>();
                pending_events.lost(lost);
                return;
            }
        }
    }

    fn task(&self, name: &'static str) -> Task<'_> {
        Task { name, clock: &*self.authority.core.ports.clock, trouble: Trouble::default() }
    }

    /// Logs it, once a minute at most.
    fn has_failed(&self, written: Result<(), StoreError>) -> bool {
        let Core { ports, pending_events, .. } = &*self.authority.core;
        let now = ports.clock.monotonic();
        let Err(error) = written else {
            if let Some(Lasts { failures, seconds }) = self.failing_events.passed(now) {
                let dropped = pending_events.dropped();
                tracing::info!(dropped, failures, seconds, "audit events are written again");
            }
            return false;
        };
        if let Some(Lasts { failures, seconds }) = self.failing_events.failed(now) {
            let dropped = pending_events.dropped();
            tracing::error!(
                %error, dropped, failures, seconds,
                "audit events cannot be written; as many as there is room for wait"
            );
        }
        true
    }

    /// Writes revocations that could not be written at first, and lets the store do its deferred
    /// work.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(&self) -> Result<(), SigningKeyError> {
        let Authority { core, health, .. } = &*self.authority;
        let Core { ports, revoked, .. } = &**core;
        for late in revoked.unwritten(core.forgets_up_to()) {
            let LateRevocation { token, event } = late;
            ports.store.revoke_token(token.clone(), event).await?;
            revoked.written(&token.token_id);
        }
        if ports.store.tidy().await? {
            health.store.note_tidy(ports.clock.monotonic());
        }
        Ok(())
    }

    /// Takes over what another process, such as an administrator's command or another server, changed in
    /// the store.
    ///
    /// # Errors
    /// When the store fails or a signing key does not open.
    pub async fn take_over_changes(&self) -> Result<(), SigningKeyError> {
        self.authority.core.take_over_changes().await
    }

    /// Checks whether the time of day has jumped, as it does when a machine wakes up or its clock
    /// is set. If so, everything that depends on it is checked at once: signing keys are made for
    /// the new time, but expired entries are not removed before the new time has proved right.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub async fn watch_clock(&self) -> Result<(), SigningKeyError> {
        let clock = &self.authority.core.ports.clock;
        let now = clock.now();
        let jump = self.clock.observe(now, clock.monotonic());
        let went_back = matches!(jump, Some(Jump::Back(_)));
        // Once more at the next look: a request that began before may have told the time of then.
        if self.went_back.swap(went_back, Ordering::Relaxed) || went_back {
            self.authority.core.ports.state.replay_log.clock_was_set_back(now);
            self.moments_are_ahead.store(true, Ordering::Relaxed);
        }
        let lowered = self.lower_moments(now).await;
        if let Some(jump) = jump {
            tracing::warn!(?jump, "the clock has jumped");
            self.maintain().await?;
        }
        Ok(lowered?)
    }

    /// After the clock was set back: no moment up to which tokens count as revoked is ahead of it. If
    /// the store fails, they stay until the next look, so that no revoked token counts.
    async fn lower_moments(&self, now: UnixTime) -> Result<(), StoreError> {
        if self.moments_are_ahead.load(Ordering::Relaxed) {
            let core = &self.authority.core;
            let _reading = core.revoked.read_up_to.lock().await;
            let stored = core.ports.store.revoked_tokens(now, READ).await?;
            core.revoked.clock_was_set_back(now, stored);
            self.moments_are_ahead.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Rotates signing keys that are due, and removes expired entries.
    ///
    /// # Errors
    /// When the store fails or a key cannot be made, and while the clock is far from the store's; then
    /// nothing has changed.
    pub async fn maintain(&self) -> Result<(), SigningKeyError> {
        let core = &self.authority.core;
        let Core { ports, policy, signing_keys, revoked, .. } = &**core;
        let now = ports.clock.now();
        core.passwords.free_idle_memory(ports.clock.monotonic());
        core.believe_clock().await?;
        if signing_keys.maintain(now, &*ports.random).await? {
            tracing::info!("signing keys were rotated");
        }
        let ended = core.forgets_up_to();
        revoked.forget_ended(ended);
        self.expire_accounts(ended, now).await?;
        self.expire_credentials(ended, now).await?;
        let pruned = ports.store.prune(ended, &policy.retention).await?;
        if pruned > 0 {
            tracing::debug!(pruned, "forgot what is over");
        }
        Ok(())
    }
}

impl Maintenance {
    /// Removes accounts whose time to be used for the first time has `ended`, in batches, so that others get their turn.
    async fn expire_accounts(&self, ended: UnixTime, now: UnixTime) -> Result<(), StoreError> {
        let Core { ports, policy, credentials, .. } = &*self.authority.core;
        let before = ended - policy.unused_account_lifetime;
        loop {
            let (removed, more) = ports.store.expire_unused(before, EXPIRE_BATCH, now).await?;
            if removed > 0 {
                credentials.forget_all();
                tracing::info!(removed, "accounts that nobody had ever used were removed");
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Revokes credentials that have `ended` by themselves, in batches likewise.
    async fn expire_credentials(&self, ended: UnixTime, now: UnixTime) -> Result<(), StoreError> {
        let Authority { core, tokens, .. } = &*self.authority;
        loop {
            let expired = core.ports.store.expire_credentials(ended, EXPIRE_BATCH, now).await?;
            tokens.note_revoked(&expired);
            if expired.is_empty() {
                return Ok(());
            }
        }
    }
}

fn count_of(events: &[AuditEvent]) -> u64 {
    events.iter().map(AuditEvent::times).sum()
}

/// A turn at once, and then one after each `period`.
fn every(period: Duration) -> Interval {
    let mut turns = interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

/// Work that is done again and again.
struct Task<'a> {
    name: &'static str,
    clock: &'a dyn Clock,
    trouble: Trouble,
}

impl Task<'_> {
    /// Logs how it went, as far as that is news.
    fn report(&self, result: Result<(), SigningKeyError>) {
        let (task, now) = (self.name, self.clock.monotonic());
        match result {
            Ok(()) => {
                if let Some(Lasts { failures, seconds }) = self.trouble.passed(now) {
                    tracing::info!(task, failures, seconds, "housekeeping works again");
                }
            }
            Err(error) => {
                if let Some(Lasts { failures, seconds }) = self.trouble.failed(now) {
                    tracing::error!(
                        %error,
                        task,
                        failures,
                        seconds,
                        "housekeeping failed; it is tried again"
                    );
                }
            }
        }
    }
}
