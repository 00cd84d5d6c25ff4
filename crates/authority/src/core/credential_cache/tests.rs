//! The cache never outlives a change: the store is a fake that can be stopped between its answer
//! and the return of that answer.

use std::{
    collections::HashMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use countersign_protocol::{AccountId, ReplayEntry, Scopes, SpentReceipt, UnixTime};
use countersign_testkit::{
    keys::ed25519_public,
    samples::{NOW, account_id},
};
use tokio::sync::oneshot;

use super::*;
use crate::{
    core::revoked::RevokedTokens,
    model::{audit::AuditEvent, credential::Label},
    ports::{
        AddCredentialError, CredentialStore, KeyLimits, LoginRecord, Permit, RecordLoginError,
        RecordedLogin, RenameCredentialError, RevokeCredentialError,
    },
};

/// Credentials of one account, by number.
#[derive(Default)]
struct Store {
    rows: Mutex<HashMap<Thumbprint, (Credential, Account)>>,
    reads: AtomicU64,
    failing: Mutex<bool>,
    /// Where the next read stops, once it has its answer: it says so, and waits.
    pause: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

impl Store {
    fn with(numbers: std::ops::Range<u64>) -> Self {
        let store = Self::default();
        numbers.for_each(|number| store.put(number, AccountStatus::Active, false));
        store
    }

    fn put(&self, number: u64, status: AccountStatus, revoked: bool) {
        let label = "laptop".parse().unwrap();
        let credential = Credential::new(account_id(1), ed25519_public(number), label, NOW);
        let credential = Credential { revoked_at: revoked.then_some(NOW), ..credential };
        let account = Account {
            id: account_id(1),
            username: "alice".parse().unwrap(),
            fingerprint: None,
            status,
            scopes: Scopes::none(),
            registered_at: NOW,
            last_login_at: None,
        };
        self.rows.lock().insert(credential.thumbprint(), (credential, account));
    }

    /// Stops the next read. The first handle tells when it has its answer, the second lets it go.
    fn pause_next_read(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((reached, wait_for_it), (go_on, held)) = (oneshot::channel(), oneshot::channel());
        *self.pause.lock() = Some((reached, held));
        (wait_for_it, go_on)
    }

    fn reads(&self) -> u64 {
        self.reads.load(SeqCst)
    }
}

fn current(store: &Store) -> UpToDate<'_> {
    static NONE: LazyLock<RevokedTokens> = LazyLock::new(RevokedTokens::default);
    UpToDate { store, revoked: &NONE }
}

#[async_trait]
impl CredentialStore for Store {
    async fn credential(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Credential, Account)>, StoreError> {
        self.reads.fetch_add(1, SeqCst);
        if *self.failing.lock() {
            return Err(StoreError::Unavailable("away".into()));
        }
        let answer = self.rows.lock().get(thumbprint).cloned();
        let pause = self.pause.lock().take();
        if let Some((reached, held)) = pause {
            reached.send(()).unwrap();
            held.await.unwrap();
        }
        Ok(answer)
    }

    async fn add_credential(
        &self,
        _: &Credential,
        _: KeyLimits,
        _: AuditEvent,
        _: Permit,
    ) -> Result<Vec<Thumbprint>, AddCredentialError> {
        unreachable!("the cache only reads")
    }

    async fn credentials_of(&self, _: AccountId) -> Result<Vec<Credential>, StoreError> {
        unreachable!("the cache is for live keys")
    }

    async fn is_taken(&self, _: &Thumbprint) -> Result<bool, StoreError> {
        unreachable!("the cache reads what is kept whole")
    }

    async fn live_credentials(
        &self,
        id: AccountId,
    ) -> Result<Option<(Account, Vec<Credential>)>, StoreError> {
        self.reads.fetch_add(1, SeqCst);
        let rows = self.rows.lock();
        let rows = rows.values().filter(|(credential, _)| credential.account_id == id);
        let live: Vec<_> = rows.filter(|(credential, _)| credential.revoked_at.is_none()).collect();
        let account = live.first().map(|(_, account)| account.clone());
        let credentials = live.into_iter().map(|(credential, _)| credential.clone()).collect();
        Ok(account.map(|account| (account, credentials)))
    }

    async fn rename_credential(
        &self,
        _: AccountId,
        _: &Thumbprint,
        _: &Label,
        _: AuditEvent,
        _: Permit,
    ) -> Result<Credential, RenameCredentialError> {
        unreachable!("the cache only reads")
    }

    async fn revoke_credential(
        &self,
        _: AccountId,
        _: &Thumbprint,
        _: bool,
        _: AuditEvent,
        _: Permit,
    ) -> Result<(), RevokeCredentialError> {
        unreachable!("the cache only reads")
    }

    async fn note_use(&self, _: AccountId, _: &Thumbprint, _: UnixTime) -> Result<(), StoreError> {
        unreachable!("the cache only reads")
    }

    async fn note_uses(&self, _: Vec<AuditEvent>) -> Result<(), StoreError> {
        unreachable!("the cache only reads")
    }

    async fn record_login(&self, _: LoginRecord) -> Result<RecordedLogin, RecordLoginError> {
        unreachable!("the cache only reads")
    }

    async fn spend_assertion(&self, _: ReplayEntry) -> Result<SpentReceipt, RecordLoginError> {
        unreachable!("the cache only reads")
    }
}

fn thumbprint(number: u64) -> Thumbprint {
    ed25519_public(number).thumbprint()
}

async fn is_live(live: &CredentialCache, number: u64, store: &Store) -> bool {
    live.get(&thumbprint(number), current(store)).await.unwrap().unwrap().is_live(NOW)
}

#[tokio::test]
async fn a_credential_is_read_once_until_it_is_forgotten() {
    let (store, live) = (Store::with(1..3), CredentialCache::new(100));
    for _ in 0..3 {
        assert!(is_live(&live, 1, &store).await);
        assert!(is_live(&live, 2, &store).await);
    }
    assert_eq!(store.reads(), 2);

    store.put(1, AccountStatus::Active, true);
    assert!(is_live(&live, 1, &store).await, "nobody told the cache");
    live.forget(&thumbprint(1));
    assert!(!is_live(&live, 1, &store).await);
    assert!(is_live(&live, 2, &store).await);
    assert_eq!(store.reads(), 3, "the other one was still known");
}

#[tokio::test]
async fn the_keys_of_an_account_are_read_once_and_a_claim_each_time() {
    let (store, live) = (Store::with(1..4), CredentialCache::new(100));
    let keys = async || live.of_account(account_id(1), current(&store), NOW).await.unwrap().len();
    assert_eq!((keys().await, keys().await), (3, 3));
    assert_eq!(store.reads(), 1);
    store.put(2, AccountStatus::Active, true);
    live.forget(&thumbprint(2));
    assert_eq!(keys().await, 2, "the revoked one is not tried");

    let (store, live) = (Store::with(1..2), CredentialCache::new(100));
    store.rows.lock().get_mut(&thumbprint(1)).unwrap().0.is_proven = false;
    let keys = async || live.of_account(account_id(1), current(&store), NOW).await.unwrap().len();
    assert_eq!((keys().await, keys().await), (1, 1));
    assert_eq!(store.reads(), 2);
    assert!(live.known_key(&thumbprint(1)).is_none(), "a claim is nobody else's business");
}

#[tokio::test]
async fn the_keys_that_were_used_last_come_first() {
    let (store, live) = (Store::with(1..4), CredentialCache::new(100));
    let used = |number, seconds| {
        let at = NOW + std::time::Duration::from_secs(seconds);
        store.rows.lock().get_mut(&thumbprint(number)).unwrap().0.last_used_at = Some(at);
    };
    used(1, 5);
    used(3, 9);
    let live = live.of_account(account_id(1), current(&store), NOW).await.unwrap();
    let order: Vec<_> = live.iter().map(|known| known.credential.thumbprint()).collect();
    assert_eq!(order, [3, 1, 2].map(thumbprint));
}

#[tokio::test]
async fn forgetting_all_reads_all_anew() {
    let (store, live) = (Store::with(1..3), CredentialCache::new(100));
    assert!(is_live(&live, 1, &store).await && is_live(&live, 2, &store).await);
    store.put(1, AccountStatus::Disabled, false);
    store.put(2, AccountStatus::Active, true);
    live.forget_all();
    assert!(!is_live(&live, 1, &store).await);
    assert!(!is_live(&live, 2, &store).await);
    assert_eq!(store.reads(), 4);
}

#[tokio::test]
async fn of_single_changes_only_those_are_read_anew() {
    let (store, live) = (Store::with(1..4), CredentialCache::new(100));
    for number in 1..4 {
        assert!(is_live(&live, number, &store).await);
    }
    let keys = async || live.of_account(account_id(1), current(&store), NOW).await.unwrap().len();
    assert_eq!(keys().await, 3);
    let reads = store.reads();
    live.forget_changed(&[], vec![account_id(9)]);
    assert!(is_live(&live, 1, &store).await);
    assert_eq!((keys().await, store.reads()), (3, reads), "nobody's of that account are here");

    store.put(2, AccountStatus::Active, true);
    live.forget_changed(&[changed(2)], Vec::new());
    assert!(is_live(&live, 1, &store).await && !is_live(&live, 2, &store).await);
    assert_eq!(store.reads(), reads + 1, "the others were still known");
    assert_eq!(keys().await, 2, "the account's keys are counted anew");

    (1..4).for_each(|number| store.put(number, AccountStatus::Disabled, false));
    live.forget_changed(&[], vec![account_id(1)]);
    for number in 1..4 {
        assert!(!is_live(&live, number, &store).await);
    }
}

fn changed(number: u64) -> ChangedKey {
    ChangedKey { thumbprint: thumbprint(number), account_id: account_id(1) }
}

/// A revocation comes after the store has answered "live" and before the answer is kept.
async fn live_after_a_change_during_the_read(change: impl Fn(&CredentialCache)) -> bool {
    let (store, live) = (Store::with(1..2), CredentialCache::new(100));
    let (reached, go_on) = store.pause_next_read();
    let revoke = async {
        reached.await.unwrap();
        store.put(1, AccountStatus::Active, true);
        change(&live);
        go_on.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(is_live(&live, 1, &store), revoke);
    assert!(read, "the read that was under way is answered as the store was then");
    is_live(&live, 1, &store).await
}

#[tokio::test]
async fn a_revocation_during_a_read_leaves_no_live_copy() {
    assert!(!live_after_a_change_during_the_read(|live| live.forget(&thumbprint(1))).await);
    assert!(!live_after_a_change_during_the_read(CredentialCache::forget_all).await);
    let by_key = |live: &CredentialCache| live.forget_changed(&[changed(1)], Vec::new());
    assert!(!live_after_a_change_during_the_read(by_key).await);
    let by_account = |live: &CredentialCache| live.forget_changed(&[], vec![account_id(1)]);
    assert!(!live_after_a_change_during_the_read(by_account).await);
}

#[tokio::test]
async fn the_fake_store_would_leave_a_live_copy_without_the_cache_being_told() {
    assert!(live_after_a_change_during_the_read(|_| {}).await);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_again() {
    let (store, live) = (Store::default(), CredentialCache::new(100));
    assert!(live.get(&thumbprint(1), current(&store)).await.unwrap().is_none());
    store.put(1, AccountStatus::Active, false);
    assert!(is_live(&live, 1, &store).await, "it was registered since");
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let (store, live) = (Store::with(1..2), CredentialCache::new(100));
    *store.failing.lock() = true;
    assert!(live.get(&thumbprint(1), current(&store)).await.is_err());
    *store.failing.lock() = false;
    assert!(is_live(&live, 1, &store).await);
}

#[tokio::test]
async fn the_capacity_bounds_what_is_kept() {
    let (store, live) = (Store::with(0..400), CredentialCache::new(64));
    for number in 0..400 {
        assert!(is_live(&live, number, &store).await);
        assert!(live.known.len() <= 64);
    }
    assert!(!live.known.is_empty(), "it does keep some");
}
