//! Housekeeping: what another process changed, what is over, and a store that fails meanwhile.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::{
    Maintenance,
    accounts::{registration::PresentedKey, registration_error::RegistrationError},
    core::dpop::ProofError,
    dialects::signjwt::UnprovenRegistration,
    keys::{SigningKeyError, signing::SigningKeys},
    model::{
        account::AccountStatus,
        audit::{AuditEvent, AuditFilter, EventKind, Reason, RecordedEvent, Repeated},
        trail::{TrailPage, TrailQuery},
    },
    ports::{
        AskedRevocations, AuditStore, ChangeCursor, Changed, ChangedKey, Changes, ChangesSince,
        Permit, Retention, RevocationStore, Revocations, RevokedToken, RevokedTokenList,
        StoreCondition, StoreError, StoreUpkeep,
    },
    tokens::standing::RevokingClient,
};
use countersign_protocol::{UnixTime, proofs::dpop::DpopError, tokens::issue::AccessTokenClaims};
use countersign_testkit::{
    clock::FixedClock, keys::ed25519, random::SeededRandom, samples::NOW, store_parts::StoreParts,
};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::support::{ADDRESS, KeyStore, Login, World, uri};

/// Everything but the signing keys, as a test wants it.
#[derive(Default)]
struct Fake {
    /// What others have changed, one after another. A look is told one at a time.
    told: Mutex<Vec<Changes>>,
    /// Whether looks for changes fail.
    deaf: AtomicBool,
    failing: AtomicBool,
    hanging: AtomicBool,
    reads_hang: AtomicBool,
    checks: AtomicU64,
    failed_writes: AtomicU64,
    appended: Mutex<Vec<AuditEvent>>,
    recorded: Mutex<Vec<RecordedEvent>>,
    asked_until: Mutex<Option<UnixTime>>,
    pruned: Mutex<Vec<(UnixTime, Retention)>>,
    /// The time of the machine that keeps the store, if it is another one.
    clock: Mutex<Option<UnixTime>>,
    revoked: Mutex<Vec<RevokedToken>>,
}

impl Fake {
    fn fail(&self, failing: bool) {
        self.failing.store(failing, SeqCst);
    }

    /// Others have changed something.
    fn tell(&self, changes: Changes) {
        self.told.lock().push(changes);
    }

    fn done<T>(&self, value: T) -> Result<T, StoreError> {
        if self.failing.load(SeqCst) {
            return Err(StoreError::Unavailable("away".into()));
        }
        Ok(value)
    }
}

#[async_trait]
impl StoreUpkeep for Fake {
    async fn changes(&self, since: Option<ChangeCursor>) -> Result<ChangesSince, StoreError> {
        if self.deaf.load(SeqCst) {
            return Err(StoreError::Unavailable("deaf".into()));
        }
        let told = self.told.lock();
        let cursor = ChangeCursor::new(u64::try_from(told.len()).unwrap());
        let changes = match since {
            None => Changes::Everything,
            Some(since) if since == cursor => Changes::none(),
            Some(since) => told[usize::try_from(since.number()).unwrap()].clone(),
        };
        let cursor = since
            .map_or(cursor, |since| ChangeCursor::new((since.number() + 1).min(cursor.number())));
        Ok(ChangesSince { changes, cursor })
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.checks.fetch_add(1, SeqCst);
        self.done(())
    }

    fn condition(&self) -> StoreCondition {
        StoreCondition {
            failed_writes: self.failed_writes.load(SeqCst),
            ..StoreCondition::default()
        }
    }

    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError> {
        self.pruned.lock().push((now, *retention));
        if self.hanging.load(SeqCst) {
            pending::<()>().await;
        }
        self.done(3)
    }

    async fn tidy(&self) -> Result<bool, StoreError> {
        self.done(true)
    }

    async fn clock(&self) -> Result<Option<UnixTime>, StoreError> {
        self.done(*self.clock.lock())
    }
}

#[async_trait]
impl AuditStore for Fake {
    async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.done(())?;
        self.appended.lock().extend(events);
        Ok(())
    }

    async fn trail_page(&self, _: &TrailQuery) -> Result<TrailPage, StoreError> {
        self.done(TrailPage::default())
    }

    async fn events(&self, asked: &AuditFilter, _: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut until = self.asked_until.lock();
        *until = asked.until.or(*until);
        self.done(self.recorded.lock().clone())
    }
}

#[async_trait]
impl RevocationStore for Fake {
    async fn revoke_token(&self, token: RevokedToken, _: AuditEvent) -> Result<(), StoreError> {
        self.done(self.revoked.lock().push(token))
    }

    async fn revoked_tokens(&self, _: UnixTime, _: u32) -> Result<RevokedTokenList, StoreError> {
        if self.reads_hang.load(SeqCst) {
            pending::<()>().await;
        }
        let tokens = self.revoked.lock().clone();
        self.done(RevokedTokenList { tokens, ..RevokedTokenList::default() })
    }

    async fn revocations(&self, _: AskedRevocations) -> Result<Revocations, StoreError> {
        self.done(Revocations::default())
    }
}

/// An authority with signing keys in memory, and everything that can go wrong with it.
struct Setting {
    world: World,
    fake: Arc<Fake>,
    keys: Arc<KeyStore>,
}

impl Setting {
    async fn new() -> Self {
        let (fake, keys) = (Arc::new(Fake::default()), KeyStore::new());
        let world = World::with(
            |_| {},
            |ports| {
                StoreParts::replace(&mut ports.store, |parts| {
                    parts.audit = fake.clone();
                    parts.revocations = fake.clone();
                    parts.signing_keys = keys.clone();
                    parts.upkeep = fake.clone();
                });
            },
        )
        .await;
        Self { world, fake, keys }
    }

    fn maintenance(&self) -> Maintenance {
        Maintenance::new(Arc::clone(&self.world.authority))
    }

    /// Another process rotates the signing keys.
    async fn rotate_elsewhere(&self) {
        let (vault, now) = (self.world.vault().await, self.world.authority.core.now());
        let schedules = self.world.authority.core.policy().key_schedules();
        let (store, random) = (Arc::clone(&self.keys) as _, SeededRandom::new(9));
        let keys = SigningKeys::load(store, &vault, schedules, now, &random).await.unwrap();
        keys.rotate(false, now, &random).await.unwrap();
        self.fake.tell(Changes::Everything);
    }

    /// Another process revokes a token, and nothing says so.
    fn revoke_elsewhere(&self, token: &AccessTokenClaims) {
        self.fake.revoked.lock().push(RevokedToken {
            token_id: token.token_id.clone(),
            account_id: token.account_id,
            issued_at: token.issued_at,
            expires_at: token.expires_at,
        });
    }

    fn withdrawals(&self) -> u64 {
        self.world.authority.core.signing_keys().withdrawals()
    }

    fn known_keys(&self) -> usize {
        let authority = &self.world.authority;
        authority.core.signing_keys().summaries(authority.core.now()).len()
    }

    async fn token(&self) -> AccessTokenClaims {
        self.token_of("alice", 1).await
    }

    async fn token_of(&self, name: &str, number: u64) -> AccessTokenClaims {
        let key = ed25519(number);
        self.world.register(name, &key).await.unwrap();
        let grant = self.world.login(&key, &Login::of(name)).await.unwrap();
        self.world.claims(&grant.access_token)
    }

    /// Revokes the key of a token, and nothing says so.
    async fn revoke_key_elsewhere(&self, token: &AccessTokenClaims) {
        let event = AuditEvent::new(NOW, EventKind::KeyRevoked);
        let revoked = self.world.ports.store.revoke_credential(
            token.account_id,
            &token.credential,
            false,
            event,
            Permit::ADMINISTRATOR,
        );
        revoked.await.unwrap();
    }

    async fn stands(&self, token: &AccessTokenClaims) -> bool {
        self.world
            .authority
            .tokens
            .standing(token, self.world.authority.core.now())
            .await
            .unwrap()
            .is_some()
    }

    fn refuse(&self, token: &AccessTokenClaims) {
        let of = (token.account_id, token.bound_to);
        self.world.authority.tokens.note_refused_request(
            of,
            (Reason::OtherKey, "a reason"),
            ADDRESS,
        );
    }
}

#[tokio::test]
async fn a_withdrawal_by_another_process_counts_once_it_was_taken_over() {
    let setting = Setting::new().await;
    let maintenance = setting.maintenance();
    maintenance.take_over_changes().await.unwrap();
    assert_eq!(setting.withdrawals(), 0, "nothing has changed");

    setting.rotate_elsewhere().await;
    assert_eq!(setting.known_keys(), 1);
    maintenance.take_over_changes().await.unwrap();
    assert_eq!((setting.known_keys(), setting.withdrawals()), (2, 1));
    maintenance.take_over_changes().await.unwrap();
    assert_eq!(setting.withdrawals(), 1, "once for each change");
}

#[tokio::test]
async fn a_revocation_by_another_process_reaches_the_server() {
    let setting = Setting::new().await;
    let (token, maintenance) = (setting.token().await, setting.maintenance());
    setting.revoke_elsewhere(&token);
    maintenance.take_over_changes().await.unwrap();
    assert!(setting.stands(&token).await, "nothing said that it changed");
    setting.fake.tell(Changes::Everything);
    maintenance.take_over_changes().await.unwrap();
    assert!(!setting.stands(&token).await);
}

/// An administrator enables an account again, which revives none of its tokens.
#[tokio::test(start_paused = true)]
async fn a_token_stays_refused_while_it_is_taken_over_that_its_account_is_enabled_again() {
    let setting = Setting::new().await;
    let (token, maintenance) = (setting.token().await, setting.maintenance());
    let change = async |status| {
        let event = AuditEvent::new(NOW, EventKind::AccountDisabled);
        setting.world.ports.store.set_status(token.account_id, status, event).await.unwrap();
        setting.fake.tell(Changes::Everything);
    };
    change(AccountStatus::Disabled).await;
    maintenance.take_over_changes().await.unwrap();
    assert!(!setting.stands(&token).await);
    setting.revoke_elsewhere(&token);
    change(AccountStatus::Active).await;
    setting.fake.reads_hang.store(true, SeqCst);
    timeout(Duration::from_millis(10), maintenance.take_over_changes()).await.unwrap_err();
    assert!(!setting.stands(&token).await, "what was revoked is being read");
    setting.fake.reads_hang.store(false, SeqCst);
    maintenance.take_over_changes().await.unwrap();
    assert!(!setting.stands(&token).await);
}

/// Also where something else is done for so long: here it never ends.
#[tokio::test(start_paused = true)]
async fn a_change_elsewhere_waits_for_no_other_housekeeping() {
    let setting = Setting::new().await;
    let token = setting.token().await;
    setting.fake.hanging.store(true, SeqCst);
    let work = tokio::spawn(setting.maintenance().run());
    sleep(Duration::from_millis(10)).await;
    assert_eq!(setting.fake.pruned.lock().len(), 1, "it is being done");
    setting.revoke_elsewhere(&token);
    setting.fake.tell(Changes::Everything);
    sleep(Duration::from_millis(250)).await;
    assert!(!setting.stands(&token).await);
    work.abort();
}

#[tokio::test]
async fn of_single_changes_nothing_else_is_forgotten() {
    let setting = Setting::new().await;
    let maintenance = setting.maintenance();
    let (alice, bob) = (setting.token_of("alice", 1).await, setting.token_of("bob", 2).await);
    assert!(setting.stands(&alice).await && setting.stands(&bob).await);
    setting.revoke_key_elsewhere(&alice).await;
    setting.revoke_key_elsewhere(&bob).await;
    // Neither the revoked tokens nor the signing keys are read.
    setting.fake.fail(true);
    setting.keys.fail(true);
    let keys = vec![ChangedKey { thumbprint: alice.credential, account_id: alice.account_id }];
    setting.fake.tell(Changes::These(Changed { keys, ..Changed::default() }));
    maintenance.take_over_changes().await.unwrap();
    assert!(!setting.stands(&alice).await);
    assert!(setting.stands(&bob).await, "nobody said that this key changed");

    let accounts = vec![bob.account_id];
    setting.fake.tell(Changes::These(Changed { accounts, ..Changed::default() }));
    maintenance.take_over_changes().await.unwrap();
    assert!(!setting.stands(&bob).await, "an account is forgotten with all of its keys");
}

#[tokio::test]
async fn a_single_token_is_taken_over_alone() {
    let setting = Setting::new().await;
    let maintenance = setting.maintenance();
    let (alice, bob) = (setting.token_of("alice", 1).await, setting.token_of("bob", 2).await);
    setting.fake.fail(true);
    let tokens = vec![RevokedToken {
        token_id: alice.token_id.clone(),
        account_id: alice.account_id,
        issued_at: alice.issued_at,
        expires_at: alice.expires_at,
    }];
    let tokens = RevokedTokenList { tokens, ..RevokedTokenList::default() };
    // Twice does no harm.
    for _ in 0..2 {
        let tokens = tokens.clone();
        setting.fake.tell(Changes::These(Changed { tokens, ..Changed::default() }));
        maintenance.take_over_changes().await.unwrap();
    }
    assert!(!setting.stands(&alice).await);
    assert!(setting.stands(&bob).await);
}

#[tokio::test]
async fn signing_keys_are_read_anew_only_when_they_changed() {
    let setting = Setting::new().await;
    let (token, maintenance) = (setting.token().await, setting.maintenance());
    setting.rotate_elsewhere().await;
    setting.fake.told.lock().clear();
    setting
        .fake
        .tell(Changes::These(Changed { accounts: vec![token.account_id], ..Changed::default() }));
    maintenance.take_over_changes().await.unwrap();
    assert_eq!((setting.known_keys(), setting.withdrawals()), (1, 0));
    setting.fake.tell(Changes::These(Changed { signing_keys: true, ..Changed::default() }));
    maintenance.take_over_changes().await.unwrap();
    assert_eq!((setting.known_keys(), setting.withdrawals()), (2, 1));
}

#[tokio::test]
async fn after_a_look_that_failed_anything_may_have_changed() {
    let setting = Setting::new().await;
    let (token, maintenance) = (setting.token().await, setting.maintenance());
    assert!(setting.stands(&token).await);
    setting.revoke_key_elsewhere(&token).await;
    setting.fake.deaf.store(true, SeqCst);
    assert!(maintenance.take_over_changes().await.is_err());
    setting.fake.deaf.store(false, SeqCst);
    maintenance.take_over_changes().await.unwrap();
    assert!(!setting.stands(&token).await);
}

#[tokio::test]
async fn a_change_that_could_not_be_taken_over_is_tried_again() {
    let setting = Setting::new().await;
    let (token, maintenance) = (setting.token().await, setting.maintenance());
    setting.rotate_elsewhere().await;
    setting.revoke_elsewhere(&token);

    setting.keys.fail(true);
    assert!(matches!(maintenance.take_over_changes().await, Err(SigningKeyError::Store(_))));
    assert!(!setting.stands(&token).await, "one failure does not keep the rest from being done");
    assert_eq!(setting.withdrawals(), 0, "the keys are still those of before");

    setting.keys.fail(false);
    maintenance.take_over_changes().await.unwrap();
    assert_eq!((setting.known_keys(), setting.withdrawals()), (2, 1));
    maintenance.take_over_changes().await.unwrap();
    assert_eq!(setting.withdrawals(), 1, "now it is done");
}

#[tokio::test]
async fn revocations_that_could_not_be_read_are_read_again() {
    let setting = Setting::new().await;
    let (token, maintenance) = (setting.token().await, setting.maintenance());
    setting.rotate_elsewhere().await;
    setting.revoke_elsewhere(&token);
    setting.fake.fail(true);
    assert!(maintenance.take_over_changes().await.is_err());
    assert_eq!(setting.known_keys(), 2, "one failure does not keep the rest from being done");
    setting.fake.fail(false);
    maintenance.take_over_changes().await.unwrap();
    assert!(!setting.stands(&token).await);
}

#[tokio::test]
async fn what_is_over_is_forgotten_under_the_policy_of_retention() {
    let setting = Setting::new().await;
    let (now, retention) =
        (setting.world.authority.core.now(), setting.world.authority.core.policy().retention);
    setting.maintenance().maintain().await.unwrap();
    assert_eq!(*setting.fake.pruned.lock(), [(now, retention)]);
    setting.fake.fail(true);
    assert!(setting.maintenance().maintain().await.is_err());
}

#[tokio::test]
async fn an_account_that_nobody_used_is_removed_and_forgotten_at_its_moment() {
    let setting = Setting::new().await;
    let (authority, clock) = (&setting.world.authority, &setting.world.clock);
    let key = ed25519(1).public_key().to_jwk();
    let registration = UnprovenRegistration {
        username: "alice",
        public_key: PresentedKey::Jwk(&key),
        enrolment_code: None,
        address: ADDRESS,
    };
    authority.dialects.signjwt.register_unproven(registration).await.unwrap();
    let core = &authority.core;
    let signers = async || core.signers("alice", None, core.now()).await.unwrap().len();
    let moment = Duration::from_millis(1);
    clock.advance(authority.core.policy().unused_account_lifetime.saturating_sub(moment));
    setting.maintenance().maintain().await.unwrap();
    assert_eq!(signers().await, 1);
    clock.advance(moment);
    setting.maintenance().maintain().await.unwrap();
    assert_eq!(signers().await, 0);
    authority.dialects.signjwt.register_unproven(registration).await.unwrap();
    assert_eq!(signers().await, 1, "name and key are free again");
}

#[tokio::test]
async fn a_turn_rotates_what_is_due() {
    let setting = Setting::new().await;
    let schedule = setting.world.authority.core.policy().signing_keys;
    let due = setting.world.authority.core.now() + schedule.active - schedule.publish_ahead;
    setting.world.clock.set(due);
    setting.maintenance().maintain().await.unwrap();
    assert_eq!(setting.known_keys(), 2);
}

#[tokio::test]
async fn a_clock_that_is_ahead_for_a_moment_revives_no_revoked_token() {
    let setting = Setting::new().await;
    let maintenance = setting.maintenance();
    setting.world.register("alice", &ed25519(1)).await.unwrap();
    let text = setting.world.login(&ed25519(1), &Login::of("alice")).await.unwrap().access_token;
    let claims = setting.world.claims(&text);
    setting
        .world
        .authority
        .tokens
        .revoke_token(&text, RevokingClient::default(), ADDRESS)
        .await
        .unwrap();
    setting.world.clock.set(NOW + Duration::from_hours(24 * 91));
    maintenance.watch_clock().await.unwrap();
    setting.world.clock.advance(Duration::from_secs(2));
    maintenance.maintain().await.unwrap();
    setting.world.clock.set(NOW + Duration::from_secs(2));
    maintenance.watch_clock().await.unwrap();
    assert!(!setting.stands(&claims).await);
}

#[tokio::test]
async fn nothing_is_pruned_on_the_word_of_a_clock_that_has_just_jumped() {
    let setting = Setting::new().await;
    let (maintenance, clock) = (setting.maintenance(), &setting.world.clock);
    let pruned_at = async || {
        maintenance.maintain().await.unwrap();
        setting.fake.pruned.lock().last().unwrap().0
    };
    let (jump, hour) = (Duration::from_hours(24 * 91), Duration::from_hours(1));
    clock.set(NOW + jump);
    assert_eq!(pruned_at().await, NOW, "whoever looks first");
    clock.advance(Duration::from_mins(59));
    assert_eq!(pruned_at().await, NOW + Duration::from_mins(59));
    clock.advance(Duration::from_mins(1));
    assert_eq!(pruned_at().await, NOW + jump + hour, "it has agreed for long enough");
    clock.set(NOW + jump * 2);
    assert_eq!(pruned_at().await, NOW + jump + hour);
    clock.set(NOW + jump + hour);
    assert_eq!(pruned_at().await, NOW + jump + hour, "it is back");
}

#[tokio::test]
async fn a_clock_that_is_ahead_at_a_start_prunes_nothing_for_an_hour() {
    let setting = Setting::new().await;
    let event = |at| RecordedEvent {
        id: 1,
        event: AuditEvent::new(at, EventKind::LoginSucceeded),
        label: None,
        by: None,
    };
    *setting.fake.recorded.lock() = vec![event(NOW)];
    let jump = Duration::from_hours(24 * 91);
    setting.world.clock.set(NOW + jump);
    let maintenance = Maintenance::new(setting.world.restarted().await);
    maintenance.maintain().await.unwrap();
    assert_eq!(setting.fake.pruned.lock().last().unwrap().0, NOW);
    let asked = *setting.fake.asked_until.lock();
    assert_eq!(asked, Some(NOW + jump - Duration::from_hours(1)), "it may have been ahead then");
    setting.world.clock.advance(Duration::from_hours(1));
    maintenance.maintain().await.unwrap();
    let last = setting.fake.pruned.lock().last().unwrap().0;
    assert_eq!(last, NOW + jump + Duration::from_hours(1));
}

#[tokio::test]
async fn a_clock_that_is_behind_at_a_start_dates_no_memory_before_the_last_event() {
    let setting = Setting::new().await;
    let hour = Duration::from_hours(1);
    let recorded = |id, event| RecordedEvent { id, event, label: None, by: None };
    // The use of a key that was told with an earlier one, and an entry between them.
    let mut used = AuditEvent::new(NOW - hour, EventKind::KeyUsed);
    used.repeated = Some(Repeated { times: 2, last_at: NOW });
    let between = AuditEvent::new(NOW - hour / 2, EventKind::LoginSucceeded);
    *setting.fake.recorded.lock() = vec![recorded(2, between), recorded(1, used)];
    for (started_at, since) in [(NOW - hour, NOW), (NOW + hour, NOW + hour)] {
        setting.world.clock.set(started_at);
        let core = &setting.world.restarted().await.core;
        assert_eq!(core.epoch().since.max(core.last_event_before_start()), since);
    }
}

#[tokio::test]
async fn a_revoked_token_is_remembered_until_it_has_ended_for_every_verifier() {
    let setting = Setting::new().await;
    let token = setting.token().await;
    let policy = setting.world.authority.core.policy();
    let text = setting.world.login(&ed25519(1), &Login::of("alice")).await.unwrap().access_token;
    let claims = setting.world.claims(&text);
    setting
        .world
        .authority
        .tokens
        .revoke_token(&text, RevokingClient::default(), ADDRESS)
        .await
        .unwrap();
    setting.world.clock.set(claims.expires_at + policy.skew - Duration::from_millis(1));
    setting.maintenance().maintain().await.unwrap();
    assert!(!setting.stands(&claims).await && setting.stands(&token).await);
}

#[tokio::test]
async fn refusals_are_written_down() {
    let setting = Setting::new().await;
    let token = setting.token().await;
    (0..3).for_each(|_| setting.refuse(&token));
    assert_eq!(setting.fake.appended.lock().len(), 0, "nobody waits for the store");
    setting.maintenance().write_trail().await;
    let appended = setting.fake.appended.lock().clone();
    assert_eq!(appended.len(), 1, "they are alike");
    assert_eq!(appended[0].times(), 3);
    assert_eq!(appended[0].account_id, Some(token.account_id));
    assert_eq!(appended[0].detail.as_deref(), Some("a reason"));
    assert_eq!(setting.world.authority.health.dropped_events(), 0);
}

#[tokio::test]
async fn refusals_that_cannot_be_written_wait_until_they_can() {
    let setting = Setting::new().await;
    let (token, maintenance) = (setting.token().await, setting.maintenance());
    (0..3).for_each(|_| setting.refuse(&token));
    setting.fake.fail(true);
    maintenance.write_trail().await;
    setting.refuse(&token);
    maintenance.write_trail().await;
    setting.fake.fail(false);
    maintenance.write_trail().await;
    maintenance.write_trail().await;
    let appended = setting.fake.appended.lock().clone();
    assert_eq!(appended.iter().map(AuditEvent::times).collect::<Vec<_>>(), [4]);
    assert_eq!(setting.world.authority.health.dropped_events(), 0);
}

/// By a clock that is wrong, the keys of all servers would be over, and what they revoked be forgotten.
#[tokio::test]
async fn a_server_whose_clock_is_wrong_rotates_removes_and_forgets_nothing() {
    let year = Duration::from_hours(24 * 365);
    for (ours, is_believed) in [(NOW + year, false), (NOW - year, false), (NOW, true)] {
        let setting = Setting::new().await;
        let maintenance = setting.maintenance();
        let before = setting.keys.rows.lock().clone();
        *setting.fake.clock.lock() = Some(NOW);
        setting.world.clock.set(ours);
        let authority = &setting.world.authority;
        assert_eq!(maintenance.maintain().await.is_ok(), is_believed);
        assert_eq!(maintenance.watch_clock().await.is_ok(), is_believed);
        assert_eq!(authority.health.check().await.is_ok(), is_believed);
        authority.core.published_keys().await;
        assert_eq!(setting.fake.pruned.lock().is_empty(), !is_believed);
        assert_eq!(*setting.keys.rows.lock(), before);
        setting.world.restarted().await;
        assert_eq!(*setting.keys.rows.lock(), before, "after another start");
    }
}

#[tokio::test]
async fn the_store_is_checked_at_most_once_a_second_while_it_is_well() {
    let setting = Setting::new().await;
    let (authority, clock) = (&setting.world.authority, &setting.world.clock);
    let checks = || setting.fake.checks.load(SeqCst);
    let after = |clock: &FixedClock, by| clock.advance(Duration::from_millis(by));
    for (millis, expected) in [(0, 1), (0, 1), (999, 1), (1, 2), (500, 2), (499, 2), (1, 3)] {
        after(clock, millis);
        authority.health.check().await.unwrap();
        assert_eq!(checks(), expected);
    }
    let (one, other) = tokio::join!(authority.health.check(), authority.health.check());
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(checks(), 3);
}

#[tokio::test]
async fn a_bad_answer_does_not_hold() {
    let setting = Setting::new().await;
    let authority = &setting.world.authority;
    let checks = || setting.fake.checks.load(SeqCst);
    setting.fake.fail(true);
    assert!(authority.health.check().await.is_err());
    assert!(authority.health.check().await.is_err());
    assert_eq!(checks(), 2);
    setting.fake.fail(false);
    authority.health.check().await.unwrap();
    assert_eq!(checks(), 3, "it is well again at once");
    setting.fake.fail(true);
    authority.health.check().await.unwrap();
    setting.world.clock.advance(Duration::from_secs(1));
    assert!(authority.health.check().await.is_err());
}

#[tokio::test]
async fn a_server_that_cannot_sign_is_not_well_although_its_store_is() {
    let setting = Setting::new().await;
    setting.world.clock.advance(setting.world.authority.core.policy().signing_keys.active);
    setting.keys.fail(true);
    let error = setting.world.authority.health.check().await.unwrap_err();
    assert!(matches!(error, SigningKeyError::Store(_)), "{error:?}");
    setting.keys.fail(false);
    setting.world.authority.health.check().await.unwrap();
}

#[tokio::test]
async fn a_revocation_that_could_not_be_written_is_written_as_soon_as_it_can_be() {
    let setting = Setting::new().await;
    let maintenance = setting.maintenance();
    setting.world.register("alice", &ed25519(1)).await.unwrap();
    let grant = setting.world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
    let token = setting.world.claims(&grant.access_token);

    setting.fake.fail(true);
    let authority = &setting.world.authority;
    let revoked = authority
        .tokens
        .revoke_token(&grant.access_token, RevokingClient::default(), ADDRESS)
        .await;
    assert!(revoked.is_err(), "what is not durable is not acknowledged");
    assert!(!setting.stands(&token).await, "and it is in force all the same");
    assert!(maintenance.tidy().await.is_err());
    setting.fake.revoked.lock().clear();

    setting.fake.fail(false);
    maintenance.tidy().await.unwrap();
    assert_eq!(setting.fake.revoked.lock()[0].token_id, token.token_id);
    maintenance.tidy().await.unwrap();
    assert_eq!(setting.fake.revoked.lock().len(), 1, "once is enough");
}

#[tokio::test]
async fn a_server_whose_writes_fail_is_not_ready_though_the_check_works() {
    let setting = Setting::new().await;
    let authority = &setting.world.authority;
    authority.health.check().await.unwrap();
    setting.fake.failed_writes.store(1, SeqCst);
    assert!(authority.health.check().await.is_err());
    setting.world.clock.advance(Duration::from_secs(6));
    authority.health.check().await.unwrap();
}

#[tokio::test]
async fn after_a_jump_of_the_clock_in_either_direction_logins_go_on_without_housekeeping() {
    let day = Duration::from_hours(24);
    for to in [NOW + day, NOW + day * 40, NOW - Duration::from_secs(5), NOW - day * 40] {
        let setting = Setting::new().await;
        setting.world.register("alice", &ed25519(1)).await.unwrap();
        setting.world.clock.set(to);
        let grant = setting.world.login(&ed25519(1), &Login::of("alice")).await;
        // A login needs a replay log, and that does not go back.
        if to > NOW {
            setting.world.claims(&grant.unwrap().access_token);
        }
        let authority = &setting.world.authority;
        authority.tokens.revocation_feed().await.unwrap();
        authority.health.check().await.unwrap();
        assert!(authority.core.published_keys().await.json.contains("kid"));
    }
}

#[tokio::test]
async fn a_jump_of_the_clock_is_noticed_at_the_next_tick() {
    let setting = Setting::new().await;
    let maintenance = setting.maintenance();
    maintenance.watch_clock().await.unwrap();
    assert_eq!(setting.fake.pruned.lock().len(), 0, "nothing has happened");
    for to in [NOW + Duration::from_hours(24 * 40), NOW] {
        let before = setting.fake.pruned.lock().len();
        setting.world.clock.set(to);
        maintenance.watch_clock().await.unwrap();
        assert_eq!(setting.fake.pruned.lock().len(), before + 1);
        let authority = &setting.world.authority;
        authority.core.signing_keys().check(authority.core.now()).unwrap();
        maintenance.watch_clock().await.unwrap();
        assert_eq!(setting.fake.pruned.lock().len(), before + 1, "once");
    }
}

#[tokio::test]
async fn logins_go_on_after_the_clock_was_set_back_and_no_used_proof_works_again() {
    let setting = Setting::new().await;
    let (world, maintenance) = (&setting.world, setting.maintenance());
    world.register("alice", &ed25519(1)).await.unwrap();
    let uri = uri("/oauth/token");
    let used = world.proof(&ed25519(1), &uri);
    world.login_with(&ed25519(1), &Login::of("alice"), &used).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
    world.clock.set(NOW);
    maintenance.watch_clock().await.unwrap();
    world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
    let again = world.login_with(&ed25519(1), &Login::of("alice"), &used).await;
    assert!(again.is_err(), "its time has come once more");
    maintenance.watch_clock().await.unwrap();
    world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
    assert!(world.login_with(&ed25519(1), &Login::of("alice"), &used).await.is_err());
}

#[tokio::test]
async fn a_proof_without_a_nonce_is_to_be_repeated_with_one_after_the_clock_was_set_back() {
    let setting = Setting::new().await;
    let (world, maintenance) = (&setting.world, setting.maintenance());
    world.register("alice", &ed25519(1)).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    world.register("bob", &ed25519(2)).await.unwrap();
    world.clock.set(NOW);
    maintenance.watch_clock().await.unwrap();
    let refused = world.register("carol", &ed25519(3)).await.unwrap_err();
    let is_nonce =
        matches!(refused, RegistrationError::Proof(ProofError::Invalid(DpopError::Nonce)));
    assert!(is_nonce, "{refused:?}");
    let proof = world.proof_with_nonce(&ed25519(3), &uri("/v1/accounts"));
    world.register_by(&proof, None, "carol", &ed25519(3)).await.unwrap();
    let again = world.register_by(&proof, None, "dora", &ed25519(3)).await.unwrap_err();
    let is_used = matches!(again, RegistrationError::Proof(ProofError::Replayed));
    assert!(is_used, "{again:?}");
}

#[tokio::test]
async fn the_last_key_stays_published_while_no_other_can_be_made() {
    let setting = Setting::new().await;
    let authority = &setting.world.authority;
    let before = authority.core.published_keys().await.json.clone();
    setting.world.clock.advance(Duration::from_hours(24 * 40));
    setting.keys.fail(true);
    assert_eq!(authority.core.published_keys().await.json, before);
    setting.keys.fail(false);
    assert_ne!(authority.core.published_keys().await.json, before);
}

#[tokio::test]
async fn many_who_lack_a_key_at_once_make_one() {
    let setting = Setting::new().await;
    setting.world.clock.advance(Duration::from_hours(24 * 40));
    let authority = &setting.world.authority;
    let (one, two, three) =
        tokio::join!(authority.health.check(), authority.health.check(), authority.health.check());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    authority.health.check().await.unwrap();
    assert_eq!(setting.keys.count(EventKind::SigningKeyCreated), 2, "the first and one more");
}
