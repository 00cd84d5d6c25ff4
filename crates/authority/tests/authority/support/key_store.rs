//! Signing keys and the vault's record in memory. Rows can be tampered with, and the store can fail
//! or stop at the wrong moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::{
    keys::{
        SigningKeyError,
        signing::SigningKeys,
        vault::{MasterKey, Vault},
    },
    model::{
        audit::{AuditEvent, EventKind},
        key_life::{KeySchedule, Schedule, SealedServerKey, SealedSigningKey, Signs},
    },
    ports::{
        ChangeSigningKeysError, ServerKeyOwners, SigningKeyChange, SigningKeyStore,
        SigningKeyVersion, StoreError, StoredSigningKeys, VaultRecord, VaultStore,
    },
};
use countersign_protocol::UnixTime;
use countersign_testkit::random::SeededRandom;
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::yield_now};

/// By how much the clocks of servers with this store may differ.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// A store of signing keys and of one vault.
#[derive(Default)]
pub(crate) struct KeyStore {
    pub(crate) rows: Mutex<Vec<SealedSigningKey>>,
    version: Mutex<SigningKeyVersion>,
    outrun: Mutex<u64>,
    reads: AtomicU64,
    pub(crate) record: Mutex<Option<VaultRecord>>,
    pub(crate) events: Mutex<Vec<AuditEvent>>,
    failing: Mutex<bool>,
    failing_to_replace: Mutex<bool>,
    hold: Mutex<Option<oneshot::Receiver<()>>>,
}

/// A read that has its answer and has not returned it. Dropping this lets it go on.
pub(crate) struct HeldRead(#[expect(dead_code, reason = "held")] oneshot::Sender<()>);

impl KeyStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Fails every call from now on, or none.
    pub(crate) fn fail(&self, failing: bool) {
        *self.failing.lock() = failing;
    }

    /// How often the signing keys were read.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    /// Lets another process be faster at the next `times` changes.
    pub(crate) fn outrun(&self, times: u64) {
        *self.outrun.lock() = times;
    }

    /// Fails every replacement of the vault from now on, or none.
    pub(crate) fn fail_replacing(&self, failing: bool) {
        *self.failing_to_replace.lock() = failing;
    }

    /// Stops the next read of signing keys between its answer and its return.
    pub(crate) fn hold_next_read(&self) -> HeldRead {
        let (release, held) = oneshot::channel();
        *self.hold.lock() = Some(held);
        HeldRead(release)
    }

    /// How many events of that kind are in the trail.
    pub(crate) fn count(&self, kind: EventKind) -> usize {
        self.events.lock().iter().filter(|event| event.kind == kind).count()
    }

    /// The vault of this store, opened with one fixed master key.
    pub(crate) async fn vault(&self) -> Vault {
        let master = MasterKey::parse(&"5e".repeat(32)).unwrap();
        Vault::open(self, &master, &SeededRandom::new(7)).await.unwrap()
    }

    /// A server's start at `now`.
    pub(crate) async fn start(
        self: &Arc<Self>,
        schedule: KeySchedule,
        now: UnixTime,
    ) -> Result<SigningKeys, SigningKeyError> {
        let random = SeededRandom::new(now.as_millis());
        let schedules = [Schedule {
            signs: Signs::AccessTokens,
            lives: schedule,
            keep_expired: false,
            tokens_live: schedule.keep_after,
            clock_tolerance: CLOCK_TOLERANCE,
        }];
        SigningKeys::load(Arc::clone(self) as _, &self.vault().await, schedules, now, &random).await
    }

    /// Makes the version after `decided_on`, if that is the present one.
    fn succeed(&self, decided_on: SigningKeyVersion) -> Result<(), ChangeSigningKeysError> {
        let (mut version, mut outrun) = (self.version.lock(), self.outrun.lock());
        if let Some(rest) = outrun.checked_sub(1) {
            (*outrun, version.0) = (rest, version.0 + 1);
        }
        if *version != decided_on {
            return Err(ChangeSigningKeysError::Stale);
        }
        version.0 += 1;
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        fails_if(*self.failing.lock())
    }
}

fn fails_if(failing: bool) -> Result<(), StoreError> {
    if failing { Err(StoreError::Unavailable("away".into())) } else { Ok(()) }
}

#[async_trait]
impl SigningKeyStore for KeyStore {
    async fn signing_keys(&self) -> Result<StoredSigningKeys, StoreError> {
        self.reads.fetch_add(1, Relaxed);
        yield_now().await;
        self.check()?;
        let (version, mut keys) = (*self.version.lock(), self.rows.lock().clone());
        keys.sort_by_key(|row| row.life.active_from);
        let hold = self.hold.lock().take();
        if let Some(held) = hold {
            held.await.unwrap_err();
        }
        yield_now().await;
        Ok(StoredSigningKeys { version, keys })
    }

    async fn change_signing_keys(
        &self,
        change: SigningKeyChange,
    ) -> Result<(), ChangeSigningKeysError> {
        let SigningKeyChange { decided_on, put, remove, events } = change;
        yield_now().await;
        self.check()?;
        self.succeed(decided_on)?;
        let mut rows = self.rows.lock();
        rows.retain(|row| !remove.contains(&row.kid) && put.iter().all(|new| new.kid != row.kid));
        rows.extend(put);
        self.events.lock().extend(events);
        Ok(())
    }
}

#[async_trait]
impl VaultStore for KeyStore {
    async fn vault(&self) -> Result<Option<VaultRecord>, StoreError> {
        let record = self.record.lock().clone();
        yield_now().await;
        self.check().map(|()| record)
    }

    async fn create_vault(&self, record: &VaultRecord) -> Result<bool, StoreError> {
        yield_now().await;
        self.check()?;
        let mut present = self.record.lock();
        let first = present.is_none();
        present.get_or_insert_with(|| record.clone());
        Ok(first)
    }

    async fn change_vault(
        &self,
        present: &VaultRecord,
        next: &VaultRecord,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        yield_now().await;
        self.check()?;
        fails_if(*self.failing_to_replace.lock())?;
        let mut record = self.record.lock();
        let is_present = record.as_ref() == Some(present);
        if is_present {
            *record = Some(next.clone());
            self.events.lock().push(event);
        }
        Ok(is_present)
    }

    async fn abandon_vault(
        &self,
        record: &VaultRecord,
        decided_on: SigningKeyVersion,
        event: AuditEvent,
    ) -> Result<(), ChangeSigningKeysError> {
        yield_now().await;
        self.check()?;
        self.succeed(decided_on)?;
        *self.record.lock() = Some(record.clone());
        self.rows.lock().clear();
        self.events.lock().push(event);
        Ok(())
    }

    /// These tests are about signing keys; no account has a key pair of its own.
    async fn server_key_owners(&self, _: u32) -> Result<ServerKeyOwners, StoreError> {
        self.check().map(|()| ServerKeyOwners::default())
    }

    async fn registration_key(&self) -> Result<Option<SealedServerKey>, StoreError> {
        self.check().map(|()| None)
    }

    async fn create_registration_key(&self, _: &SealedServerKey) -> Result<bool, StoreError> {
        unreachable!("nobody registers in these tests")
    }

    async fn opaque_setup(&self) -> Result<Option<SealedServerKey>, StoreError> {
        self.check().map(|()| None)
    }

    async fn create_opaque_setup(&self, _: &SealedServerKey) -> Result<bool, StoreError> {
        unreachable!("nobody has a keyring in these tests")
    }
}
