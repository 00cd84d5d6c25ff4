//! What resource servers are told of revocations, and when.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_authority::{
    FEED_MAX_AGE, RevocationFeedError,
    account::AccountStatus,
    audit::{AuditEvent, EventKind},
    ports::{RevocationStore, ShutOut, StoreError},
};
use countersign_protocol::{
    UnixTime,
    keys::Thumbprint,
    tokens::{
        issue::AccessTokenClaims,
        revocations::{Revocations, SignedRevocations},
    },
};
use countersign_testkit::keys::{ed25519, ed25519_public};

use crate::support::{ADDRESS, ISSUER, Login, World};

const MILLISECOND: Duration = Duration::from_millis(1);

async fn world_of_alice() -> World {
    let world = World::new().await;
    world.register("alice", &ed25519(1)).await.unwrap();
    world
}

impl World {
    /// The feed as a resource server reads it.
    async fn feed(&self) -> Revocations {
        let now = self.authority.now();
        let text = self.authority.revocation_feed().await.unwrap();
        let feed = SignedRevocations::parse(&text).unwrap();
        let key = self.authority.signing_keys().public_key(&feed.kid().unwrap(), now).unwrap();
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
        let event = AuditEvent::new(self.authority.now(), EventKind::KeyRevoked);
        let (account, key) = (claims.account_id, claims.credential);
        self.ports.credentials.revoke_credential(account, &key, false, event).await.unwrap();
        key
    }
}

#[tokio::test]
async fn a_feed_of_nothing_is_signed_for_a_minute() {
    let world = world_of_alice().await;
    let now = world.authority.now();
    let expected = Revocations {
        issuer: ISSUER.to_owned(),
        issued_at: now,
        expires_at: now + Duration::from_mins(1),
        tokens: Vec::new(),
        keys: Vec::new(),
        accounts: Vec::new(),
    };
    assert_eq!(world.feed().await, expected);
}

#[tokio::test]
async fn a_revocation_by_this_process_is_in_the_next_feed() {
    let world = world_of_alice().await;
    let (text, claims) = world.token().await;
    assert!(world.feed().await.tokens.is_empty());
    world.authority.revoke_token(&text, None, ADDRESS).await.unwrap();
    assert_eq!(world.feed().await.tokens, [claims.token_id]);
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
    let first = world.authority.revocation_feed().await.unwrap();
    world.clock.advance(FEED_MAX_AGE.saturating_sub(MILLISECOND));
    assert!(Arc::ptr_eq(&first, &world.authority.revocation_feed().await.unwrap()));
    world.clock.advance(MILLISECOND);
    assert!(!Arc::ptr_eq(&first, &world.authority.revocation_feed().await.unwrap()));
}

#[tokio::test]
async fn a_token_is_listed_until_no_verifier_accepts_it() {
    let world = world_of_alice().await;
    let (text, claims) = world.token().await;
    world.authority.revoke_token(&text, None, ADDRESS).await.unwrap();
    world.clock.advance(claims.expires_at.since(world.authority.now()) + Duration::from_secs(4));
    assert_eq!(world.feed().await.tokens, [claims.token_id]);
    world.clock.advance(FEED_MAX_AGE);
    assert!(world.feed().await.tokens.is_empty());
}

#[tokio::test]
async fn a_key_is_listed_for_longer_than_any_token_lives() {
    let world = world_of_alice().await;
    let key = world.revoke_key().await;
    let longest = Duration::from_hours(24) + world.authority.policy().skew;
    world.clock.advance(longest.saturating_sub(MILLISECOND));
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
        let event = AuditEvent::new(world.authority.now(), EventKind::AccountDisabled);
        assert!(world.ports.accounts.set_status(claims.account_id, status, event).await.unwrap());
        world.clock.advance(FEED_MAX_AGE);
        assert_eq!(world.feed().await.accounts, listed);
    }
}

/// A store in which that many keys were revoked of late.
struct ManyRevoked(u64);

#[async_trait]
impl RevocationStore for ManyRevoked {
    async fn revoke_token(&self, _: &str, _: UnixTime, _: AuditEvent) -> Result<(), StoreError> {
        Ok(())
    }

    async fn revoked_tokens(&self, _: UnixTime) -> Result<Vec<(String, UnixTime)>, StoreError> {
        Ok(Vec::new())
    }

    async fn shut_out(&self, _: UnixTime, limit: u32) -> Result<ShutOut, StoreError> {
        let key = ed25519_public(1).thumbprint();
        let count = self.0.min(limit.into());
        Ok(ShutOut { keys: (0..count).map(|_| key).collect(), accounts: Vec::new() })
    }
}

#[tokio::test]
async fn a_feed_lists_all_or_there_is_none() {
    let with =
        |count| World::with(|_| {}, move |ports| ports.revocations = Arc::new(ManyRevoked(count)));
    assert_eq!(with(60_000).await.feed().await.keys.len(), 60_000);
    let refused = with(60_001).await.authority.revocation_feed().await;
    assert!(matches!(refused, Err(RevocationFeedError::TooMany)));
}
