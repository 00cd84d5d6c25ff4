//! Ports that fail when a test says so.

use std::{future::ready, sync::Arc};

use async_trait::async_trait;
use countersign_authority::{
    account::{Account, AccountName, AccountStatus, Username},
    audit::{AuditEvent, AuditFilter, RecordedEvent},
    credential::{Credential, Label},
    ports::{
        AccountStore, AddCredentialError, AuditStore, CreateAccountError, CredentialStore,
        KeyLimits, LoginRecord, NewAccount, Ports, RecordLoginError, RenameCredentialError,
        Retention, RevocationStore, RevokeCredentialError, RevokedToken, RevokedTokenList, ShutOut,
        StoreCondition, StoreError, StoreWatch,
    },
};
use countersign_protocol::{
    AccountId, ReplayEntry, Scopes, SpentReceipt, UnixTime,
    keys::Thumbprint,
    ports::{Recording, ReplayError, ReplayLog},
    replay::ReplayOwner,
};
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
    /// It works, but the replay log does not.
    ReplayLog,
}

/// The switch by which ports fail; its clones are one switch.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<Fault>>>);

impl Faults {
    pub(crate) fn set(&self, fault: Fault) {
        *self.0.lock() = Some(fault);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = None;
    }

    /// The same ports, each of which fails when it is told to.
    pub(super) fn around(&self, ports: Ports) -> Ports {
        let failing = Arc::new(Failing { faults: self.clone(), ports: ports.clone() });
        Ports {
            accounts: Arc::clone(&failing) as _,
            audit: Arc::clone(&failing) as _,
            credentials: Arc::clone(&failing) as _,
            replay_log: Arc::clone(&failing) as _,
            revocations: Arc::clone(&failing) as _,
            watch: failing,
            ..ports
        }
    }

    fn check_store(&self) -> Result<(), StoreError> {
        match *self.0.lock() {
            Some(Fault::Unavailable) => Err(StoreError::Unavailable(CAUSE.into())),
            Some(Fault::Corrupt) => Err(StoreError::Corrupt {
                table: "accounts",
                column: "status",
                reason: CAUSE.to_owned(),
            }),
            Some(Fault::ReplayLog) | None => Ok(()),
        }
    }
}

struct Failing {
    faults: Faults,
    ports: Ports,
}

#[async_trait]
impl AccountStore for Failing {
    async fn create_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        self.faults.check_store()?;
        self.ports.accounts.create_account(new).await
    }

    async fn create_unproven_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        self.faults.check_store()?;
        self.ports.accounts.create_unproven_account(new).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.faults.check_store()?;
        self.ports.accounts.account(name).await
    }

    async fn expire_unused(
        &self,
        before: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<(u64, bool), StoreError> {
        self.faults.check_store()?;
        self.ports.accounts.expire_unused(before, limit, now).await
    }

    async fn accounts(
        &self,
        after: Option<&Username>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        self.faults.check_store()?;
        self.ports.accounts.accounts(after, limit).await
    }

    async fn set_status(
        &self,
        id: AccountId,
        status: AccountStatus,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        self.faults.check_store()?;
        self.ports.accounts.set_status(id, status, event).await
    }

    async fn set_scopes(
        &self,
        id: AccountId,
        scopes: &Scopes,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        self.faults.check_store()?;
        self.ports.accounts.set_scopes(id, scopes, event).await
    }
}

#[async_trait]
impl CredentialStore for Failing {
    async fn add_credential(
        &self,
        credential: &Credential,
        limits: KeyLimits,
        event: AuditEvent,
    ) -> Result<(), AddCredentialError> {
        self.faults.check_store()?;
        self.ports.credentials.add_credential(credential, limits, event).await
    }

    async fn credential(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Credential, Account)>, StoreError> {
        self.faults.check_store()?;
        self.ports.credentials.credential(thumbprint).await
    }

    async fn rename_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        label: &Label,
        event: AuditEvent,
    ) -> Result<Credential, RenameCredentialError> {
        self.faults.check_store()?;
        self.ports.credentials.rename_credential(id, thumbprint, label, event).await
    }

    async fn note_use(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.faults.check_store()?;
        self.ports.credentials.note_use(id, thumbprint, now).await
    }

    async fn is_taken(&self, thumbprint: &Thumbprint) -> Result<bool, StoreError> {
        self.faults.check_store()?;
        self.ports.credentials.is_taken(thumbprint).await
    }

    async fn live_credentials(
        &self,
        id: AccountId,
    ) -> Result<Option<(Account, Vec<Credential>)>, StoreError> {
        self.faults.check_store()?;
        self.ports.credentials.live_credentials(id).await
    }

    async fn credentials_of(&self, id: AccountId) -> Result<Vec<Credential>, StoreError> {
        self.faults.check_store()?;
        self.ports.credentials.credentials_of(id).await
    }

    async fn revoke_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        keep_last: bool,
        event: AuditEvent,
    ) -> Result<(), RevokeCredentialError> {
        self.faults.check_store()?;
        self.ports.credentials.revoke_credential(id, thumbprint, keep_last, event).await
    }

    async fn record_login(&self, login: LoginRecord) -> Result<SpentReceipt, RecordLoginError> {
        self.faults.check_store()?;
        self.ports.credentials.record_login(login).await
    }

    async fn spend_assertion(
        &self,
        assertion: ReplayEntry,
    ) -> Result<SpentReceipt, RecordLoginError> {
        self.faults.check_store()?;
        self.ports.credentials.spend_assertion(assertion).await
    }
}

#[async_trait]
impl RevocationStore for Failing {
    async fn revoke_token(&self, token: RevokedToken, event: AuditEvent) -> Result<(), StoreError> {
        self.faults.check_store()?;
        self.ports.revocations.revoke_token(token, event).await
    }

    async fn revoked_tokens(
        &self,
        now: UnixTime,
        limit: u32,
    ) -> Result<RevokedTokenList, StoreError> {
        self.faults.check_store()?;
        self.ports.revocations.revoked_tokens(now, limit).await
    }

    async fn shut_out(&self, since: UnixTime, limit: u32) -> Result<ShutOut, StoreError> {
        self.faults.check_store()?;
        self.ports.revocations.shut_out(since, limit).await
    }
}

#[async_trait]
impl AuditStore for Failing {
    async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.faults.check_store()?;
        self.ports.audit.append(events).await
    }

    async fn events(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.faults.check_store()?;
        self.ports.audit.events(filter, limit).await
    }

    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError> {
        self.faults.check_store()?;
        self.ports.audit.prune(now, retention).await
    }
}

#[async_trait]
impl StoreWatch for Failing {
    async fn changed_elsewhere(&self) -> Result<bool, StoreError> {
        self.faults.check_store()?;
        self.ports.watch.changed_elsewhere().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.faults.check_store()?;
        self.ports.watch.check().await
    }

    fn condition(&self) -> StoreCondition {
        self.ports.watch.condition()
    }

    async fn tidy(&self) -> Result<bool, StoreError> {
        self.faults.check_store()?;
        self.ports.watch.tidy().await
    }
}

impl ReplayLog for Failing {
    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        if matches!(*self.faults.0.lock(), Some(Fault::ReplayLog)) {
            return Box::pin(ready(Err(ReplayError::Unavailable(CAUSE.into()))));
        }
        self.ports.replay_log.check_and_insert(entry, owner, now)
    }

    fn entries(&self) -> Option<u64> {
        self.ports.replay_log.entries()
    }

    fn is_volatile(&self) -> bool {
        self.ports.replay_log.is_volatile()
    }
}
