//! A store put together of parts, each of which a test may replace, and all of which may fail.

use std::{future::ready, sync::Arc};

use async_trait::async_trait;
use countersign_authority::{
    model::{
        account::{Account, AccountName, AccountStatus, Username},
        audit::{AuditEvent, AuditFilter, RecordedEvent},
        credential::{Credential, Label},
        invitation::{CodeHash, Invitation},
        key_life::SealedServerKey,
        keyring::{KeptRevision, KeyringDocument, KeyringSummary, Knowledge, Revision},
        trail::{TrailPage, TrailQuery},
    },
    ports::{
        AccountRecovery, AccountStore, AddCredentialError, AddPasskeyError, AskedRevocations,
        AuditStore, BrowserStore, ChangeCursor, ChangeKeyringError, ChangeSigningKeysError,
        ChangesSince, CreateAccountError, CreatePasswordAccountError, CredentialStore,
        DeleteKeyringError, InvitationStore, IssuerStore, KeyLimits, KeyringHolder, KeyringStore,
        KnowledgeSlot, KnownPasskey, LoginRecord, NewAccount, NewContent, NewKeyring, NewPasskey,
        NewPasswordAccount, OpenKeyringError, OpenedBy, OwnPasskey, PasskeyStore, PasswordLogin,
        PasswordStore, Permit, RecordLoginError, RecordedLogin, RecoverError,
        RenameCredentialError, Restoration, Retention, RevocationStore, Revocations,
        RevokeCredentialError, RevokedToken, RevokedTokenList, ServerKeyOwners, ServerKeyStore,
        SignIn, SignInError, SignedIn, SigningKeyChange, SigningKeyStore, SigningKeyVersion, Store,
        StoreCondition, StoreError, StoreKeyringError, StoreUpkeep, StoredSigningKeys, VaultRecord,
        VaultStore,
    },
};
use countersign_protocol::{
    AccountId, ReplayEntry, Scopes, SpentReceipt, UnixTime,
    keys::Thumbprint,
    ports::{Recording, ReplayError, ReplayLog},
    proofs::webauthn::{CredentialId, RpId},
    replay::{FoundNew, LogEpoch, ReplayOwner},
};

/// A store by its parts.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type documents")]
pub struct StoreParts {
    pub accounts: Arc<dyn AccountStore>,
    pub audit: Arc<dyn AuditStore>,
    pub browsers: Arc<dyn BrowserStore>,
    pub credentials: Arc<dyn CredentialStore>,
    pub invitations: Arc<dyn InvitationStore>,
    pub issuer: Arc<dyn IssuerStore>,
    pub keyrings: Arc<dyn KeyringStore>,
    pub passkeys: Arc<dyn PasskeyStore>,
    pub passwords: Arc<dyn PasswordStore>,
    pub replay_log: Arc<dyn ReplayLog>,
    pub revocations: Arc<dyn RevocationStore>,
    pub server_keys: Arc<dyn ServerKeyStore>,
    pub signing_keys: Arc<dyn SigningKeyStore>,
    pub vault: Arc<dyn VaultStore>,
    pub upkeep: Arc<dyn StoreUpkeep>,
    /// Asked before each call, which fails with what it returns.
    pub fault: Arc<dyn Fn() -> Result<(), StoreError> + Send + Sync>,
}

impl StoreParts {
    /// The parts of one store, which do not fail.
    pub fn of(store: &Arc<dyn Store>) -> Self {
        Self {
            accounts: store.clone(),
            audit: store.clone(),
            browsers: store.clone(),
            credentials: store.clone(),
            invitations: store.clone(),
            issuer: store.clone(),
            keyrings: store.clone(),
            passkeys: store.clone(),
            passwords: store.clone(),
            replay_log: store.clone(),
            revocations: store.clone(),
            server_keys: store.clone(),
            signing_keys: store.clone(),
            vault: store.clone(),
            upkeep: store.clone(),
            fault: Arc::new(|| Ok(())),
        }
    }

    /// Replaces some parts of `store`.
    pub fn replace(store: &mut Arc<dyn Store>, replace: impl FnOnce(&mut Self)) {
        let mut parts = Self::of(store);
        replace(&mut parts);
        *store = Arc::new(parts);
    }
}

/// Hands each call of a port to the part that has it.
macro_rules! delegate {
    ($port:ident to $part:ident {
        $(fn $call:ident($($argument:ident: $type:ty),*) -> ($value:ty, $error:ty);)+
    }) => {
        #[async_trait]
        impl $port for StoreParts {
            $(async fn $call(&self, $($argument: $type),*) -> Result<$value, $error> {
                (self.fault)()?;
                self.$part.$call($($argument),*).await
            })+
        }
    };
}

delegate! { AccountStore to accounts {
    fn create_account(new: NewAccount) -> ((), CreateAccountError);
    fn create_unproven_account(new: NewAccount) -> ((), CreateAccountError);
    fn account(name: &AccountName) -> (Option<Account>, StoreError);
    fn accounts(after: Option<&Username>, limit: u32) -> (Vec<Account>, StoreError);
    fn expire_unused(before: UnixTime, limit: u32, now: UnixTime) -> ((u64, bool), StoreError);
    fn set_status(id: AccountId, status: AccountStatus, event: AuditEvent) -> (bool, StoreError);
    fn replace_scopes(id: AccountId, present: &Scopes, scopes: &Scopes, event: AuditEvent)
        -> (bool, StoreError);
} }

delegate! { AuditStore to audit {
    fn append(events: Vec<AuditEvent>) -> ((), StoreError);
    fn trail_page(query: &TrailQuery) -> (TrailPage, StoreError);
    fn events(filter: &AuditFilter, limit: u32) -> (Vec<RecordedEvent>, StoreError);
} }

delegate! { BrowserStore to browsers {
    fn sign_in(sign_in: SignIn) -> (SignedIn, SignInError);
    fn expire_credentials(ended: UnixTime, limit: u32, now: UnixTime)
        -> (Vec<Thumbprint>, StoreError);
} }

delegate! { CredentialStore to credentials {
    fn add_credential(
        credential: &Credential, limits: KeyLimits, event: AuditEvent, permit: Permit
    ) -> (Vec<Thumbprint>, AddCredentialError);
    fn credential(thumbprint: &Thumbprint) -> (Option<(Credential, Account)>, StoreError);
    fn is_taken(thumbprint: &Thumbprint) -> (bool, StoreError);
    fn live_credentials(id: AccountId) -> (Option<(Account, Vec<Credential>)>, StoreError);
    fn credentials_of(id: AccountId) -> (Vec<Credential>, StoreError);
    fn revoke_credential(id: AccountId, key: &Thumbprint, keep_last: bool, event: AuditEvent, permit: Permit)
        -> ((), RevokeCredentialError);
    fn rename_credential(id: AccountId, key: &Thumbprint, label: &Label, event: AuditEvent, permit: Permit)
        -> (Credential, RenameCredentialError);
    fn note_use(id: AccountId, key: &Thumbprint, now: UnixTime) -> ((), StoreError);
    fn note_uses(uses: Vec<AuditEvent>) -> ((), StoreError);
    fn record_login(login: LoginRecord) -> (RecordedLogin, RecordLoginError);
    fn spend_assertion(assertion: ReplayEntry) -> (SpentReceipt, RecordLoginError);
} }

delegate! { InvitationStore to invitations {
    fn create_invitation(invitation: &Invitation, event: AuditEvent) -> ((), StoreError);
    fn create_invitations(invitations: &[(Invitation, AuditEvent)]) -> ((), StoreError);
    fn invitation(code_hash: &CodeHash) -> (Option<Invitation>, StoreError);
    fn invitations(limit: u32) -> (Vec<Invitation>, StoreError);
    fn withdraw_invitation(code_hash: &CodeHash, event: AuditEvent) -> (bool, StoreError);
    fn create_recovery(recovery: &Invitation, event: AuditEvent) -> ((), StoreError);
    fn recovery(username: &Username) -> (Option<Invitation>, StoreError);
    fn recover(recovery: AccountRecovery) -> (Vec<Thumbprint>, RecoverError);
} }

delegate! { IssuerStore to issuer {
    fn issuer() -> (Option<String>, StoreError);
    fn keep_issuer(origin: &str) -> ((), StoreError);
} }

delegate! { PasskeyStore to passkeys {
    fn passkey(id: &CredentialId) -> (Option<KnownPasskey>, StoreError);
    fn passkeys_of(id: AccountId) -> (Vec<OwnPasskey>, StoreError);
    fn add_passkey(new: NewPasskey, limits: KeyLimits, permit: Permit)
        -> ((), AddPasskeyError);
    fn passkeys_of_others(rp_id: Option<&RpId>) -> (Option<(String, u64)>, StoreError);
} }

delegate! { KeyringStore to keyrings {
    fn keyring(id: AccountId) -> (Option<KeyringSummary>, StoreError);
    fn keyring_holder(id: AccountId) -> (Option<KeyringHolder>, StoreError);
    fn keyring_revisions(id: AccountId) -> (Option<Vec<KeptRevision>>, StoreError);
    fn knowledge_slot(
        name: &Username, knowledge: Knowledge, now: UnixTime
    ) -> (Option<KnowledgeSlot>, StoreError);
    fn store_keyring(new: NewKeyring) -> (Revision, StoreKeyringError);
    fn stored_keyring(new: &NewKeyring) -> (Option<Revision>, StoreError);
    fn changed_keyring(change: &NewContent) -> (Option<Revision>, StoreError);
    fn change_keyring(change: NewContent) -> (Revision, ChangeKeyringError);
    fn restore_keyring(restoration: Restoration) -> (Revision, ChangeKeyringError);
    fn delete_keyring(
        id: AccountId, replaces: Revision, event: AuditEvent, permit: Permit
    ) -> (bool, DeleteKeyringError);
    fn open_keyring(
        id: AccountId, by: OpenedBy, event: AuditEvent
    ) -> ((Revision, KeyringDocument), OpenKeyringError);
} }

delegate! { PasswordStore to passwords {
    fn create_password_account(new: NewPasswordAccount) -> ((), CreatePasswordAccountError);
    fn password(name: &AccountName) -> (Option<(Account, String)>, StoreError);
    fn record_password_login(login: PasswordLogin) -> (bool, StoreError);
} }

delegate! { RevocationStore to revocations {
    fn revoke_token(token: RevokedToken, event: AuditEvent) -> ((), StoreError);
    fn revoked_tokens(now: UnixTime, limit: u32) -> (RevokedTokenList, StoreError);
    fn revocations(asked: AskedRevocations) -> (Revocations, StoreError);
} }

delegate! { ServerKeyStore to server_keys {
    fn server_key(id: AccountId) -> (Option<SealedServerKey>, StoreError);
} }

delegate! { SigningKeyStore to signing_keys {
    fn signing_keys() -> (StoredSigningKeys, StoreError);
    fn change_signing_keys(change: SigningKeyChange) -> ((), ChangeSigningKeysError);
} }

delegate! { VaultStore to vault {
    fn vault() -> (Option<VaultRecord>, StoreError);
    fn create_vault(record: &VaultRecord) -> (bool, StoreError);
    fn change_vault(
        present: &VaultRecord,
        next: &VaultRecord,
        event: AuditEvent
    ) -> (bool, StoreError);
    fn abandon_vault(
        record: &VaultRecord,
        decided_on: SigningKeyVersion,
        event: AuditEvent
    ) -> ((), ChangeSigningKeysError);
    fn server_key_owners(at_most: u32) -> (ServerKeyOwners, StoreError);
    fn registration_key() -> (Option<SealedServerKey>, StoreError);
    fn create_registration_key(key: &SealedServerKey) -> (bool, StoreError);
    fn opaque_setup() -> (Option<SealedServerKey>, StoreError);
    fn create_opaque_setup(setup: &SealedServerKey) -> (bool, StoreError);
} }

impl ReplayLog for StoreParts {
    fn epoch(&self) -> LogEpoch {
        self.replay_log.epoch()
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        if let Err(error) = (self.fault)() {
            let unavailable = ReplayError::Unavailable(error.to_string().into());
            return Box::pin(ready(Err(unavailable)));
        }
        self.replay_log.check_and_insert(entry, found, owner, now)
    }

    fn is_volatile(&self) -> bool {
        self.replay_log.is_volatile()
    }
}

#[async_trait]
impl StoreUpkeep for StoreParts {
    async fn changes(&self, since: Option<ChangeCursor>) -> Result<ChangesSince, StoreError> {
        (self.fault)()?;
        self.upkeep.changes(since).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        (self.fault)()?;
        self.upkeep.check().await
    }

    fn condition(&self) -> StoreCondition {
        self.upkeep.condition()
    }

    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError> {
        (self.fault)()?;
        self.upkeep.prune(now, retention).await
    }

    async fn tidy(&self) -> Result<bool, StoreError> {
        (self.fault)()?;
        self.upkeep.tidy().await
    }

    async fn clock(&self) -> Result<Option<UnixTime>, StoreError> {
        (self.fault)()?;
        self.upkeep.clock().await
    }
}
