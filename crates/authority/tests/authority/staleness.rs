//! Memory that nobody keeps up to date: nothing counts by it, and it heals by itself.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::{
    Maintenance,
    model::audit::{AuditEvent, EventKind},
    ports::{
        ChangeCursor, Changes, ChangesSince, Permit, Retention, StoreCondition, StoreError,
        StoreUpkeep,
    },
};
use countersign_protocol::{UnixTime, tokens::issue::AccessTokenClaims};
use countersign_testkit::{keys::ed25519, samples::NOW, store_parts::StoreParts};
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::timeout};

use crate::support::{Login, World};

/// What a look for changes comes to.
#[derive(Clone, Copy, Default)]
enum Look {
    /// Nothing has changed.
    #[default]
    Succeeds,
    Fails,
    NeverEnds,
}

/// A store that tells of no single change.
#[derive(Default)]
struct Watched {
    look: Mutex<Look>,
    looks: AtomicU64,
}

#[async_trait]
impl StoreUpkeep for Watched {
    async fn changes(&self, since: Option<ChangeCursor>) -> Result<ChangesSince, StoreError> {
        self.looks.fetch_add(1, SeqCst);
        let look = *self.look.lock();
        match look {
            Look::Succeeds => {}
            Look::Fails => return Err(StoreError::Unavailable("away".into())),
            Look::NeverEnds => pending::<()>().await,
        }
        let changes = if since.is_some() { Changes::none() } else { Changes::Everything };
        Ok(ChangesSince { changes, cursor: ChangeCursor::new(1) })
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn condition(&self) -> StoreCondition {
        StoreCondition::default()
    }

    async fn tidy(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn prune(&self, _: UnixTime, _: &Retention) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A world of which Alice has a token. What others changed may be heard of ten seconds ago.
struct Setting {
    world: World,
    watched: Arc<Watched>,
    token: AccessTokenClaims,
}

impl Setting {
    async fn new() -> Self {
        let watched = Arc::new(Watched::default());
        let world = World::with(
            |_| {},
            |ports| StoreParts::replace(&mut ports.store, |parts| parts.upkeep = watched.clone()),
        )
        .await;
        world.register("alice", &ed25519(1)).await.unwrap();
        let grant = world.login(&ed25519(1), &Login::of("alice")).await.unwrap();
        let token = world.claims(&grant.access_token);
        Self { world, watched, token }
    }

    fn looks_come_to(&self, look: Look) {
        *self.watched.look.lock() = look;
    }

    fn looks(&self) -> u64 {
        self.watched.looks.load(SeqCst)
    }

    fn pass(&self, time: Duration) {
        self.world.clock.advance(time);
    }

    async fn look(&self) -> bool {
        Maintenance::new(Arc::clone(&self.world.authority)).take_over_changes().await.is_ok()
    }

    /// Whether the token counts; `None` if nobody can say.
    async fn stands(&self) -> Option<bool> {
        let tokens = &self.world.authority.tokens;
        match tokens.standing(&self.token, self.world.authority.core.now()).await {
            Ok(known) => Some(known.is_some()),
            Err(error) => {
                assert!(error.is_out_of_date(), "{error}");
                None
            }
        }
    }
}

#[tokio::test]
async fn nothing_counts_by_what_was_heard_too_long_ago() {
    let setting = Setting::new().await;
    setting.looks_come_to(Look::Fails);
    setting.pass(Duration::from_millis(9_999));
    assert_eq!(setting.stands().await, Some(true));
    setting.pass(Duration::from_millis(1));
    assert_eq!(setting.stands().await, None);
    assert!(!setting.look().await);

    let authority = &setting.world.authority;
    let signers = authority.core.signers("alice", None, authority.core.now()).await;
    assert!(signers.unwrap_err().is_out_of_date());
    let login = setting.world.login(&ed25519(1), &Login::of("alice")).await.unwrap_err();
    assert!(login.to_string().contains("cluster.max_staleness"), "{login}");
    let caller = setting.world.call(&ed25519(1), &Login::of("alice"), None).await.unwrap_err();
    assert!(caller.to_string().contains("cluster.max_staleness"), "{caller}");
    assert!(authority.health.check().await.is_err());

    setting.looks_come_to(Look::Succeeds);
    assert!(setting.look().await);
    assert_eq!(setting.stands().await, Some(true));
    authority.health.check().await.unwrap();
}

/// As after a machine was paused: its housekeeping has not run either.
#[tokio::test]
async fn the_first_request_after_a_pause_looks_by_itself() {
    let setting = Setting::new().await;
    setting.pass(Duration::from_hours(1));
    let looks = setting.looks();
    setting.pass(Duration::from_secs(5));
    assert_eq!(setting.stands().await, Some(true));
    assert_eq!(setting.stands().await, Some(true));
    assert_eq!(setting.looks(), looks + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_look_once() {
    let setting = Arc::new(Setting::new().await);
    setting.pass(Duration::from_mins(1));
    let looks = setting.looks();
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let setting = Arc::clone(&setting);
        requests.spawn(async move { setting.stands().await });
    }
    assert_eq!(requests.join_all().await, [Some(true); 50]);
    assert_eq!(setting.looks(), looks + 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_does_not_end_keeps_one_request_waiting_and_no_other() {
    let setting = Setting::new().await;
    setting.looks_come_to(Look::NeverEnds);
    setting.pass(Duration::from_mins(1));
    assert_eq!(timeout(Duration::from_secs(2), setting.stands()).await, Ok(None));
    assert_eq!(timeout(Duration::from_millis(1), setting.stands()).await, Ok(None));
    setting.looks_come_to(Look::Succeeds);
    assert!(setting.look().await);
    assert_eq!(setting.stands().await, Some(true));
}

#[tokio::test]
async fn what_was_revoked_unheard_does_not_count_after_the_silence() {
    let setting = Setting::new().await;
    assert_eq!(setting.stands().await, Some(true));
    setting.looks_come_to(Look::Fails);
    assert!(!setting.look().await);
    let (store, event) = (&setting.world.ports.store, AuditEvent::new(NOW, EventKind::KeyRevoked));
    let AccessTokenClaims { account_id, credential, .. } = &setting.token;
    store
        .revoke_credential(*account_id, credential, false, event, Permit::ADMINISTRATOR)
        .await
        .unwrap();
    setting.pass(Duration::from_mins(1));
    assert_eq!(setting.stands().await, None);
    setting.looks_come_to(Look::Succeeds);
    assert!(setting.look().await);
    assert_eq!(setting.stands().await, Some(false), "nobody told this change");
}

/// A look counts from its beginning: what was changed during it may be missing.
#[tokio::test]
async fn news_are_as_old_as_the_beginning_of_the_look() {
    let setting = Setting::new().await;
    setting.pass(Duration::from_secs(3));
    assert!(setting.look().await);
    assert_eq!(setting.world.authority.core.age_of_news(), Duration::ZERO);
    setting.pass(Duration::from_secs(4));
    setting.looks_come_to(Look::Fails);
    assert!(!setting.look().await);
    assert_eq!(setting.world.authority.core.age_of_news(), Duration::from_secs(4));
}
