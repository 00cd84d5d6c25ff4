//! Online keyrings.

use async_trait::async_trait;
use countersign_protocol::{AccountId, ReplayEntry, UnixTime};
use thiserror::Error;

use super::{
    StoreError,
    step_up::{Permit, SpentStepUp, UsePasskeyError, refused_by_step_up},
};
use crate::model::{
    account::Username,
    audit::AuditEvent,
    keyring::{
        Growth, Keeping, KeptRevision, KeyringContent, KeyringDocument, KeyringSummary, Knowledge,
        KnowledgeRecord, Leave, Revision, Slot, SlotId,
    },
    keyring_growth::KeyringTooLarge,
};

/// Online keyrings: at most one of each account.
#[async_trait]
pub trait KeyringStore: Send + Sync {
    /// What the owner may know of the keyring of an account without opening it.
    async fn keyring(&self, id: AccountId) -> Result<Option<KeyringSummary>, StoreError>;

    /// What an account is like that has a keyring or may have one. `None` where there is no such account.
    async fn keyring_holder(&self, id: AccountId) -> Result<Option<KeyringHolder>, StoreError>;

    /// The earlier contents of the keyring of an account that are kept, newest first. `None` where there
    /// is no keyring.
    async fn keyring_revisions(
        &self,
        id: AccountId,
    ) -> Result<Option<Vec<KeptRevision>>, StoreError>;

    /// What a login by OPAQUE begins with: the slot of that kind of the account of that name. `None`
    /// where there is none, where the account is disabled, and where it has had keys and has no live one
    /// at `now`. One query, whatever is there.
    async fn knowledge_slot(
        &self,
        name: &Username,
        knowledge: Knowledge,
        now: UnixTime,
    ) -> Result<Option<KnowledgeSlot>, StoreError>;

    /// Stores a keyring, or replaces one with all its slots. If one of them is a slot of before, byte for
    /// byte, the content key is the same, and the replaced content is kept among the earlier ones, as by
    /// [`Self::change_keyring`] with the leave of the owner. Else no earlier content is kept.
    async fn store_keyring(&self, new: NewKeyring) -> Result<Revision, StoreKeyringError>;

    /// The number of the present content, if [`Self::store_keyring`] has stored `new` already and nothing has
    /// changed since. Who sends a keyring again whose answer was lost is told that it is there.
    async fn stored_keyring(&self, new: &NewKeyring) -> Result<Option<Revision>, StoreError>;

    /// Replaces the content and keeps the slots. The present content is kept as an earlier one, and
    /// [`Room`](crate::model::keyring_history::Room) says which make room for it. How many bytes there are
    /// for the account, [`Bound`](crate::model::keyring_growth::Bound) says.
    ///
    /// Without the leave of the owner it is refused if an earlier content would go that was replaced lately,
    /// or if the content is one of the earlier ones. A content opens with its nonce alone, so the nonce tells.
    async fn change_keyring(&self, change: NewContent) -> Result<Revision, ChangeKeyringError>;

    /// The number of the present content, if [`Self::change_keyring`] has made `change` already and nothing
    /// has changed since.
    async fn changed_keyring(&self, change: &NewContent) -> Result<Option<Revision>, StoreError>;

    /// Makes an earlier content the content again, under a new number, if the present one is the one that it
    /// takes the place of. It stays among the earlier ones. The present content is kept as [`Self::change_keyring`] keeps it without leave; if there is no room for
    /// it, it goes itself. No other goes that was replaced lately.
    ///
    /// It is never refused for want of room: where there is none for the content and its copy among the
    /// earlier ones, the copy goes.
    async fn restore_keyring(
        &self,
        restoration: Restoration,
    ) -> Result<Revision, ChangeKeyringError>;

    /// Deletes the keyring of an account whose content has the number `replaces`, with everything that was
    /// kept of it. `false` where there is none.
    async fn delete_keyring(
        &self,
        id: AccountId,
        replaces: Revision,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<bool, DeleteKeyringError>;

    /// Gives out the keyring of an account that is active, and records what has opened it as used.
    async fn open_keyring(
        &self,
        id: AccountId,
        by: OpenedBy,
        event: AuditEvent,
    ) -> Result<(Revision, KeyringDocument), OpenKeyringError>;
}

/// An account that has a keyring or may have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyringHolder {
    /// When the account was registered.
    pub registered_at: UnixTime,
    /// The number of the present content, if there is a keyring.
    pub present: Option<Revision>,
}

/// A slot that a password or a recovery code opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnowledgeSlot {
    /// The account.
    pub account_id: AccountId,
    /// The slot.
    pub id: SlotId,
    /// What OPAQUE needs.
    pub record: KnowledgeRecord,
}

/// A keyring to be stored.
#[derive(Clone, Debug)]
pub struct NewKeyring {
    /// The account.
    pub account_id: AccountId,
    /// What must be there now.
    pub replaces: Replaces,
    /// The slots.
    pub slots: Vec<NewSlot>,
    /// The content.
    pub content: KeyringContent,
    /// What is kept.
    pub keeping: Keeping,
    /// How large keyrings may become.
    pub growth: Growth,
    /// By this moment it is judged how long ago an earlier content was replaced: not by a clock that has just
    /// jumped.
    pub forgets_up_to: UnixTime,
    /// What the audit trail says; its time is the time of the change.
    pub event: AuditEvent,
    /// By what it is made.
    pub permit: Permit,
}

/// What a new keyring takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// Nothing: there must be none.
    Nothing,
    /// The keyring whose content has that number.
    Revision(Revision),
}

impl Replaces {
    /// Whether the content of the number `present` may be the one that takes the place of this.
    pub const fn may_be_done(self, present: Revision) -> bool {
        match self {
            Self::Nothing => true,
            Self::Revision(Revision(replaced)) => present.0 == replaced.saturating_add(1),
        }
    }
}

/// A slot to be stored.
#[derive(Clone, Debug)]
pub struct NewSlot {
    /// The slot.
    pub slot: Slot,
    /// The record of a slot for OPAQUE that is new: no slot of the account has its id. Without one, the
    /// account must have a slot of this id and kind, whose record stays. A slot for a passkey has none; the
    /// passkey must be a live one of the account.
    pub record: Option<KnowledgeRecord>,
}

/// A content to be stored.
#[derive(Clone, Debug)]
pub struct NewContent {
    /// The account.
    pub account_id: AccountId,
    /// The number of the content that it takes the place of.
    pub replaces: Revision,
    /// The content.
    pub content: KeyringContent,
    /// What is kept.
    pub keeping: Keeping,
    /// How large keyrings may become.
    pub growth: Growth,
    /// By this moment it is judged how long ago an earlier content was replaced: not by a clock that has just
    /// jumped.
    pub forgets_up_to: UnixTime,
    /// Whether an earlier content may go or come back.
    pub leave: Leave,
    /// What the audit trail says; its time is the time of the change.
    pub event: AuditEvent,
    /// By what it is made.
    pub permit: Permit,
}

/// An earlier content to be restored.
#[derive(Clone, Debug)]
pub struct Restoration {
    /// The account.
    pub account_id: AccountId,
    /// The number of the earlier content.
    pub revision: Revision,
    /// The number of the content that it takes the place of.
    pub replaces: Revision,
    /// What is kept.
    pub keeping: Keeping,
    /// How large keyrings may become.
    pub growth: Growth,
    /// By this moment it is judged how long ago an earlier content was replaced: not by a clock that has just
    /// jumped.
    pub forgets_up_to: UnixTime,
    /// What the audit trail says; its time is the time of the change.
    pub event: AuditEvent,
    /// By what it is made.
    pub permit: Permit,
}

/// What has opened a keyring, to be recorded as used.
#[derive(Clone, Copy, Debug)]
pub enum OpenedBy {
    /// What the owner knows, by OPAQUE.
    Knowledge {
        /// The slot, which must still be there.
        slot: SlotId,
        /// The state of the login, which must not have been used.
        state: ReplayEntry,
    },
    /// A passkey.
    Passkey(SpentStepUp),
}

/// Why a keyring was not stored.
#[derive(Debug, Error)]
pub enum StoreKeyringError {
    /// There is another one than was to be replaced, or one where there was to be none.
    #[error("the keyring has changed: its present revision is {present}")]
    Changed {
        /// Its number now.
        present: Revision,
    },
    /// There is none to be replaced.
    #[error("the account has no online keyring")]
    NoKeyring,
    /// A slot for a passkey that the account has not, or not any more.
    #[error("the slot {0} is for a passkey that is no live one of the account")]
    NoPasskey(SlotId),
    /// A slot without a record that the account has not.
    #[error("the slot {0} comes with no ticket, and the account has no such slot of that kind")]
    NoSlot(SlotId),
    /// A slot with a record that the account has already.
    #[error("the slot {0} comes with a ticket, and the account has it already")]
    SlotTaken(SlotId),
    /// The passkey that allowed it may not, or its answer was used before.
    #[error(transparent)]
    StepUp(UsePasskeyError),
    /// There is no room for the content.
    #[error(transparent)]
    TooLarge(#[from] KeyringTooLarge),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the content of a keyring stays.
#[derive(Debug, Error)]
pub enum ChangeKeyringError {
    /// There is another content than was to be replaced.
    #[error("the keyring has changed: its present revision is {present}")]
    Changed {
        /// Its number now.
        present: Revision,
    },
    /// There is no room for the content that is replaced.
    #[error("{0}")]
    HistoryFull(Keeping),
    /// The content is an earlier one, so that this is a restoration.
    #[error(
        "its nonce is the nonce of revision {0}: who brings an earlier content back restores the keyring"
    )]
    Known(Revision),
    /// There is no keyring.
    #[error("the account has no online keyring")]
    NoKeyring,
    /// There is no earlier content of that number.
    #[error("no earlier content of that revision is kept")]
    NoRevision,
    /// There is no room for the content that is replaced, because of what all keyrings have together.
    #[error("there is no room for another earlier content: {0}")]
    NoGrowth(KeyringTooLarge),
    /// The passkey that allowed it may not, or its answer was used before.
    #[error(transparent)]
    StepUp(UsePasskeyError),
    /// There is no room for the content.
    #[error(transparent)]
    TooLarge(#[from] KeyringTooLarge),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a keyring was not deleted.
#[derive(Debug, Error)]
pub enum DeleteKeyringError {
    /// There is another one than was to be deleted.
    #[error("the keyring has changed: its present revision is {present}")]
    Changed {
        /// Its number now.
        present: Revision,
    },
    /// The passkey that allowed it may not, or its answer was used before.
    #[error(transparent)]
    StepUp(UsePasskeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a keyring was not given out.
#[derive(Debug, Error)]
pub enum OpenKeyringError {
    /// There is none, or not that slot, or the account is disabled.
    #[error("the slot is not there any more")]
    Gone,
    /// The passkey may not, or its answer was used before.
    #[error(transparent)]
    StepUp(UsePasskeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state of the login was used before.
    #[error("the login was finished before")]
    Used,
}

refused_by_step_up!(StoreKeyringError, ChangeKeyringError, DeleteKeyringError, OpenKeyringError);
