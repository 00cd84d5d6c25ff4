//! What resource servers are told of revocations, and when.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::{
    Authority,
    core::latest_feed::FEED_MAX_AGE,
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind},
    },
    ports::{
        AskedRevocations, DisabledAccount, Permit, RevocationStore,
        Revocations as StoredRevocations, RevokedKey, RevokedToken, RevokedTokenList, ShutOut,
        StoreError,
    },
    tokens::standing::RevokingClient,
};
use countersign_protocol::{
    AccountId, UnixTime,
    keys::Thumbprint,
    tokens::{
        issue::AccessTokenClaims,
        revocations::{self, Revocations, SignedRevocations},
    },
};
use countersign_testkit::{
    clock::FixedClock, keys::ed25519, samples::NOW, store_parts::StoreParts,
};
use tokio::task::JoinSet;

use crate::support::{ADDRESS, ISSUER, Login, World};

const MILLISECOND: Duration = Duration::from_millis(1);

/// No two feeds are made sooner after each other.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);

async fn world_of_alice() -> World {
    let world = World::new().await;
    world.register("alice", &ed25519(1)).await.unwrap();
    world
}

impl World {
    /// The feed as a resource server reads it.
    async fn feed(&self) -> Revocations {
        self.feed_of(&self.authority).await
    }

    /// That of another server of the same world.
    async fn feed_of(&self, authority: &Authority) -> Revocations {
        let now = self.authority.core.now();
        let text = authority.tokens.revocation_feed().await.unwrap();
        let feed = SignedRevocations::parse(&text).unwrap();
        let key = self.authority.core.signing_keys().public_key(&feed.kid().unwrap(), now).unwrap();
        feed.verify(&key, ISSUER, Duration::ZERO, now).unwrap()
    }

    /// The text of a token of alice's, and its claims.
    async fn token(&self) -> (String, AccessTokenClaims) {
        let grant = self.login(&ed25519(1), &Login::of("alice")).await.unwrap();
        let claims = self.claims(&grant.access_token);
        (grant.access_token, claims)
    }

    /// Revokes alice's key as another process would.
    async fn revoke_key(&self) -> Thumbprint {
        let (_, claims) = self.token().await;
        let event = AuditEvent::new(self.authority.core.now(), EventKind::KeyRevoked);
        let (account, key) = (claims.account_id, claims.credential);
        self.ports
            .store
            .revoke_credential(account, &key, false, event, Permit::ADMINISTRATOR)
            .await
            .unwrap();
        key
    }
}

#[tokio::test]
async fn a_feed_of_nothing_is_signed_for_a_minute() {
    let world = world_of_alice().await;
    let now = world.authority.core.now();
    let expected = Revocations {
        issuer: ISSUER.to_owned(),
        issued_at: now,
        expires_at: now + Duration::from_mins(1),
        sequence: Some(0),
        before: None,
        keys_before: None,
        tokens: Vec::new(),
        keys: Vec::new(),
        accounts: Vec::new(),
        accounts_before: Vec::new(),
    };
    assert_eq!(world.feed().await, expected);
}

#[tokio::test]
async fn a_revocation_by_this_process_is_in_the_next_feed() {
    let world = world_of_alice().await;
    let (text, claims) = world.token().await;
    assert!(world.feed().await.tokens.is_empty());
    world.authority.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
    world.clock.advance(SHORTEST_INTERVAL);
    assert_eq!(world.feed().await.tokens, [claims.token_id]);
}

/// The other server has not heard of it yet: what the feed lacks, it reads of one moment with the number.
#[tokio::test]
async fn a_feed_of_one_server_lacks_nothing_that_an_earlier_one_of_another_had() {
    let world = world_of_alice().await;
    let other = world.restarted().await;
    let mut ids = Vec::new();
    for server in [&world.authority, &other, &other, &world.authority] {
        let (text, claims) = world.token().await;
        server.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
        ids.push(claims.token_id);
        world.clock.advance(FEED_MAX_AGE);
        let (first, second) = (world.feed().await, world.feed_of(&other).await);
        assert_eq!(first.sequence, Some(u64::try_from(ids.len()).unwrap()));
        for mut feed in [first, second] {
            feed.tokens.sort_unstable();
            ids.sort_unstable();
            assert_eq!(feed.tokens, ids);
        }
    }
}

#[tokio::test]
async fn no_feed_is_made_sooner_than_a_fifth_of_a_second_after_another() {
    let world = world_of_alice().await;
    let first = world.authority.tokens.revocation_feed().await.unwrap();
    let (text, _) = world.token().await;
    world.authority.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
    world.clock.advance(SHORTEST_INTERVAL.saturating_sub(MILLISECOND));
    assert!(Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
    world.clock.advance(MILLISECOND);
    assert!(!Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
}

#[tokio::test]
async fn revoking_a_revoked_token_again_is_no_change_of_the_feed() {
    let world = world_of_alice().await;
    let (text, _) = world.token().await;
    world.authority.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
    let first = world.authority.tokens.revocation_feed().await.unwrap();
    let sequence = world.feed().await.sequence;
    world.authority.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
    world.clock.advance(SHORTEST_INTERVAL);
    assert!(Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
    world.clock.advance(FEED_MAX_AGE);
    assert_eq!(world.feed().await.sequence, sequence);
}

#[tokio::test]
async fn a_revocation_by_another_process_is_in_the_feed_a_second_later() {
    let world = world_of_alice().await;
    world.feed().await;
    let key = world.revoke_key().await;
    assert!(world.feed().await.keys.is_empty());
    world.clock.advance(FEED_MAX_AGE);
    assert_eq!(world.feed().await.keys, [key]);
}

#[tokio::test]
async fn one_text_is_handed_out_for_a_second() {
    let world = world_of_alice().await;
    let first = world.authority.tokens.revocation_feed().await.unwrap();
    world.clock.advance(FEED_MAX_AGE.saturating_sub(MILLISECOND));
    assert!(Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
    world.clock.advance(MILLISECOND);
    assert!(!Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
}

#[tokio::test]
async fn a_token_is_listed_until_no_verifier_accepts_it() {
    let world = world_of_alice().await;
    let (text, claims) = world.token().await;
    world.authority.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
    world
        .clock
        .advance(claims.expires_at.since(world.authority.core.now()) + Duration::from_secs(4));
    assert_eq!(world.feed().await.tokens, [claims.token_id]);
    world.clock.advance(FEED_MAX_AGE);
    assert!(world.feed().await.tokens.is_empty());
}

#[tokio::test]
async fn after_the_start_a_key_is_listed_for_longer_than_any_token_of_before_lives() {
    let world = world_of_alice().await;
    let key = world.revoke_key().await;
    let longest = Duration::from_hours(24) + world.authority.core.policy().skew + FEED_MAX_AGE;
    world.clock.advance(longest.saturating_sub(MILLISECOND));
    assert_eq!(world.feed().await.keys, [key]);
    world.clock.advance(FEED_MAX_AGE);
    assert!(world.feed().await.keys.is_empty());
}

#[tokio::test]
async fn later_on_a_key_is_listed_for_as_long_as_a_token_of_it_may_live() {
    let world = world_of_alice().await;
    world.clock.advance(Duration::from_hours(25));
    world.authority.tokens.revocation_feed().await.unwrap();
    let key = world.revoke_key().await;
    let policy = world.authority.core.policy();
    world.clock.advance(policy.tokens.lifetime + policy.skew);
    assert_eq!(world.feed().await.keys, [key]);
    world.clock.advance(FEED_MAX_AGE);
    assert!(world.feed().await.keys.is_empty());
}

#[tokio::test]
async fn an_account_is_listed_while_it_is_disabled() {
    let world = world_of_alice().await;
    let (_, claims) = world.token().await;
    for (status, listed) in
        [(AccountStatus::Disabled, vec![claims.account_id]), (AccountStatus::Active, Vec::new())]
    {
        let event = AuditEvent::new(world.authority.core.now(), EventKind::AccountDisabled);
        assert!(world.ports.store.set_status(claims.account_id, status, event).await.unwrap());
        world.clock.advance(FEED_MAX_AGE);
        assert_eq!(world.feed().await.accounts, listed);
    }
}

/// A store in which very much was revoked of late: tokens of many accounts, keys and accounts.
struct MuchRevoked;

const MANY: u64 = 60_000;

fn account(number: u64) -> AccountId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    AccountId::from_bytes(bytes)
}

/// When the one of that number was issued, revoked or disabled: the lower, the later.
fn moment(number: u64) -> UnixTime {
    NOW - Duration::from_millis(number)
}

#[async_trait]
impl RevocationStore for MuchRevoked {
    async fn revoke_token(&self, _: RevokedToken, _: AuditEvent) -> Result<(), StoreError> {
        Ok(())
    }

    async fn revoked_tokens(
        &self,
        _: UnixTime,
        limit: u32,
    ) -> Result<RevokedTokenList, StoreError> {
        let token = |number| RevokedToken {
            token_id: format!("018bcfe5-6800-7000-8000-{number:012}"),
            account_id: account(number),
            issued_at: moment(number),
            expires_at: NOW + Duration::from_mins(15),
        };
        let tokens = (0..MANY.min(limit.into())).map(token).collect();
        Ok(RevokedTokenList { tokens, ..RevokedTokenList::default() })
    }

    async fn revocations(&self, asked: AskedRevocations) -> Result<StoredRevocations, StoreError> {
        let key = |number| {
            let mut thumbprint = [7; 32];
            thumbprint[..8].copy_from_slice(&u64::to_be_bytes(number));
            RevokedKey {
                thumbprint: Thumbprint::from_bytes(thumbprint),
                account_id: account(number),
                revoked_at: moment(number),
            }
        };
        let disabled =
            |number| DisabledAccount { account_id: account(number), disabled_at: moment(number) };
        let numbers = 0..MANY.min(asked.limit.into());
        let accounts = numbers.clone().map(disabled).collect();
        let shut_out = ShutOut { keys: numbers.map(key).collect(), accounts };
        let tokens = self.revoked_tokens(asked.now, asked.token_limit).await?;
        Ok(StoredRevocations { sequence: 1, shut_out, tokens })
    }
}

#[tokio::test]
async fn however_much_is_revoked_the_feed_covers_all_of_it_and_can_be_read() {
    let world = World::with(
        |_| {},
        |ports| {
            StoreParts::replace(&mut ports.store, |parts| {
                parts.revocations = Arc::new(MuchRevoked);
            });
        },
    )
    .await;
    let feed = world.feed().await;
    let text = world.authority.tokens.revocation_feed().await.unwrap();
    assert!(text.len() <= revocations::MAX_LEN, "{}", text.len());
    let (before, keys_before) = (feed.before.unwrap(), feed.keys_before.unwrap());
    let tokens: HashSet<_> = feed.tokens.into_iter().collect();
    let keys: HashSet<_> = feed.keys.into_iter().collect();
    let moments: HashMap<_, _> = feed.accounts_before.into_iter().collect();
    for number in 0..MANY {
        let second = UnixTime::from_secs(moment(number).as_secs());
        let id = format!("018bcfe5-6800-7000-8000-{number:012}");
        assert!(second <= before || tokens.contains(&id), "token {number}");
        let mut thumbprint = [7; 32];
        thumbprint[..8].copy_from_slice(&number.to_be_bytes());
        let is_listed = keys.contains(&Thumbprint::from_bytes(thumbprint));
        let is_covered = moments.get(&account(number)).is_some_and(|before| second <= *before);
        assert!(second <= keys_before || is_listed || is_covered, "key {number}");
        assert!(second <= keys_before || feed.accounts.contains(&account(number)), "{number}");
    }
    assert!(before < NOW, "what is issued from now on counts");
}

#[tokio::test]
async fn a_large_feed_is_signed_once_a_second_however_much_is_revoked_meanwhile() {
    let world = World::with(
        |_| {},
        |ports| {
            StoreParts::replace(&mut ports.store, |parts| {
                parts.revocations = Arc::new(MuchRevoked);
            });
        },
    )
    .await;
    world.register("alice", &ed25519(1)).await.unwrap();
    let first = world.authority.tokens.revocation_feed().await.unwrap();
    let (text, _) = world.token().await;
    world.authority.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
    assert!(Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
    world.clock.advance(FEED_MAX_AGE);
    assert!(!Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
}

/// A store in which nothing is revoked, and that takes as long to say so as a feed is fresh.
#[derive(Default)]
struct Slow {
    clock: OnceLock<Arc<FixedClock>>,
    reads: AtomicUsize,
    /// For how many milliseconds, instead.
    pause: AtomicU64,
}

#[async_trait]
impl RevocationStore for Slow {
    async fn revoke_token(&self, _: RevokedToken, _: AuditEvent) -> Result<(), StoreError> {
        Ok(())
    }

    async fn revoked_tokens(&self, _: UnixTime, _: u32) -> Result<RevokedTokenList, StoreError> {
        Ok(RevokedTokenList::default())
    }

    async fn revocations(&self, _: AskedRevocations) -> Result<StoredRevocations, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        // The others come meanwhile.
        tokio::task::yield_now().await;
        let pause = match self.pause.load(Ordering::SeqCst) {
            0 => FEED_MAX_AGE,
            millis => Duration::from_millis(millis),
        };
        self.clock.get().unwrap().advance(pause);
        Ok(StoredRevocations::default())
    }
}

#[tokio::test]
async fn however_many_wait_for_a_feed_that_takes_long_one_is_made_for_all_of_them() {
    let slow = Arc::new(Slow::default());
    let world = World::with(
        |_| {},
        |ports| {
            StoreParts::replace(&mut ports.store, |parts| parts.revocations = slow.clone());
        },
    )
    .await;
    slow.clock.set(Arc::clone(&world.clock)).unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..98 {
        let authority = Arc::clone(&world.authority);
        waiting.spawn(async move { authority.tokens.revocation_feed().await.unwrap() });
    }
    waiting.join_all().await;
    // One that was under way when the others came, and one for all of them.
    assert_eq!(slow.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_a_feed_costs_decides_how_often_it_is_made() {
    let slow = Arc::new(Slow::default());
    let world = World::with(
        |_| {},
        |ports| {
            StoreParts::replace(&mut ports.store, |parts| parts.revocations = slow.clone());
        },
    )
    .await;
    slow.clock.set(Arc::clone(&world.clock)).unwrap();
    world.register("alice", &ed25519(1)).await.unwrap();
    slow.pause.store(300, Ordering::SeqCst);
    let first = world.authority.tokens.revocation_feed().await.unwrap();
    let (text, _) = world.token().await;
    world.authority.tokens.revoke_token(&text, RevokingClient::default(), ADDRESS).await.unwrap();
    assert!(Arc::ptr_eq(&first, &world.authority.tokens.revocation_feed().await.unwrap()));
}

#[tokio::test]
async fn one_account_that_revokes_many_tokens_fills_nothing_and_harms_nobody_else() {
    let world = World::with(|policy| policy.limits = None, |_| {}).await;
    world.register("alice", &ed25519(1)).await.unwrap();
    world.register("bob", &ed25519(2)).await.unwrap();
    let bobs = world.login(&ed25519(2), &Login::of("bob")).await.unwrap().access_token;
    let mut revoked = Vec::new();
    for _ in 0..100 {
        world.clock.advance(Duration::from_secs(1));
        let (text, claims) = world.token().await;
        world
            .authority
            .tokens
            .revoke_token(&text, RevokingClient::default(), ADDRESS)
            .await
            .unwrap();
        revoked.push(claims);
    }
    for claims in &revoked {
        assert!(
            world
                .authority
                .tokens
                .standing(claims, world.authority.core.now())
                .await
                .unwrap()
                .is_none()
        );
    }
    let (_, later) = world.token().await;
    for good in [&later, &world.claims(&bobs)] {
        assert!(
            world
                .authority
                .tokens
                .standing(good, world.authority.core.now())
                .await
                .unwrap()
                .is_some()
        );
    }
    let feed = world.feed().await;
    assert!(feed.tokens.len() < 40 && feed.before.is_none());
    assert_eq!(feed.accounts_before[0].0, later.account_id);
    assert_eq!(feed.sequence, Some(100));
}
