//! Storing, replacing and deleting a keyring. All of it takes a step-up.

use countersign_opaque::{Malformed, server::Record};
use countersign_protocol::{AccountId, keyring_document::MAX_SLOTS, keys::Thumbprint};
use thiserror::Error;

use super::{OnlineKeyring, offering::Ticket};
use crate::{
    accounts::{
        signed_request::MustSign,
        step_up::{Change, Operation},
    },
    model::{
        audit::{ChangeCode, EventKind, Fact},
        keyring::{
            KeyringContent, KeyringDocument, KeyringPolicy, KnowledgeRecord, Revision, Slot, SlotId,
        },
        limits::NotAdmitted,
    },
    ports::{DeleteKeyringError, NewKeyring, NewSlot, Replaces, StoreKeyringError},
};

/// A keyring to be stored, as it was sent.
#[derive(Clone, Debug)]
pub struct PresentedKeyring<'a> {
    /// The document.
    pub document: KeyringDocument,
    /// What it takes the place of.
    pub replaces: Replaces,
    /// The records of new slots.
    pub records: Vec<PresentedRecord<'a>>,
}

/// The end of a registration with OPAQUE.
#[derive(Clone, Debug)]
pub struct PresentedRecord<'a> {
    /// The ticket of the slot that was offered.
    pub ticket: &'a str,
    /// The last message of the client.
    pub record: Vec<u8>,
}

/// Stores the keyring of one's account. [`OnlineKeyring::keyring_to_store`] makes it.
#[derive(Debug)]
pub struct StoreKeyring {
    replaces: Replaces,
    slots: Vec<NewSlot>,
    content: KeyringContent,
}

impl Operation for StoreKeyring {
    const NAME: &'static str = "storing the keyring";
    const CODE: ChangeCode = ChangeCode::StoreKeyring;
    const MUST_SIGN: MustSign = MustSign::UrlAndBody;
    const COUNTS_BY_DAY: bool = true;
    const WITHDRAWS: bool = false;

    fn key(&self) -> Option<Thumbprint> {
        None
    }
}

/// Deletes the keyring of one's account.
#[derive(Clone, Copy, Debug)]
pub struct DeleteKeyring {
    /// The number of its content.
    pub replaces: Revision,
}

impl Operation for DeleteKeyring {
    const NAME: &'static str = "deleting the keyring";
    const CODE: ChangeCode = ChangeCode::DeleteKeyring;
    const MUST_SIGN: MustSign = MustSign::Url;
    // Each that was stored counts, and none is deleted twice.
    const COUNTS_BY_DAY: bool = false;
    const WITHDRAWS: bool = true;

    fn key(&self) -> Option<Thumbprint> {
        None
    }
}

impl OnlineKeyring {
    /// Checks what was sent, as far as no store is needed for it.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn keyring_to_store(
        &self,
        account_id: AccountId,
        presented: PresentedKeyring<'_>,
    ) -> Result<StoreKeyring, PresentKeyringError> {
        let KeyringDocument { slots, content } = presented.document;
        self.check_size(&content)?;
        // Each costs some microseconds to read, and a body has room for thousands.
        if presented.records.len() > MAX_SLOTS {
            return Err(PresentKeyringError::RecordCount(presented.records.len()));
        }
        let now = self.core.now();
        let mut records = Vec::new();
        for PresentedRecord { ticket, record } in &presented.records {
            let ticket = self.read_ticket(ticket, now).ok_or(PresentKeyringError::Ticket)?;
            if ticket.account_id != account_id {
                return Err(PresentKeyringError::Ticket);
            }
            records.push((ticket, Record::from_upload(record)?.to_bytes()));
        }
        let slots = slots.into_iter().map(|slot| with_record(slot, &mut records));
        let slots = slots.collect::<Result<_, _>>()?;
        match records.first() {
            Some((unused, _)) => Err(PresentKeyringError::UnusedTicket(unused.slot)),
            None => Ok(StoreKeyring { replaces: presented.replaces, slots, content }),
        }
    }

    /// Stores a keyring, or replaces one with all its slots.
    ///
    /// # Errors
    /// When there is another one than was to be replaced, a slot is not the account's, there was too
    /// much to write, or the store fails.
    pub async fn store(&self, change: Change<StoreKeyring>) -> Result<Revision, StoringError> {
        let kinds = change.operation.slots.iter().map(|new| new.slot.opener.kind().name());
        let kinds: Vec<_> = kinds.collect();
        let detail = format!("slots: {}", kinds.join(", "));
        let event = change.own_event(EventKind::KeyringStored, Some(&detail));
        let event = event.fact(Fact::Slots, kinds.join(" "));
        let Change { operation, author, address, permit, .. } = change;
        let StoreKeyring { replaces, slots, content } = operation;
        let account_id = author.account_id;
        let KeyringPolicy { keeping, growth, .. } = self.core.policy.keyrings;
        let forgets_up_to = self.core.forgets_up_to();
        let new = NewKeyring {
            account_id,
            replaces,
            slots,
            content,
            keeping,
            growth,
            forgets_up_to,
            event,
            permit,
        };
        let stored = self.write_counted(new, address).await;
        self.core.settle_key_change((account_id, address), &stored).await;
        stored
    }

    /// Deletes a keyring and everything that was kept of it.
    ///
    /// # Errors
    /// When there is none, it is another one than was to be deleted, or the store fails.
    pub async fn delete(&self, change: Change<DeleteKeyring>) -> Result<(), DeletingError> {
        let event = change.own_event(EventKind::KeyringDeleted, None);
        let Change { operation: DeleteKeyring { replaces }, author, permit, .. } = change;
        let deletion =
            self.core.ports.store.delete_keyring(author.account_id, replaces, event, permit);
        let is_deleted = deletion.await?;
        is_deleted.then_some(()).ok_or(DeletingError::NoKeyring)
    }

    /// Sees that a content is not too long.
    pub(super) fn check_size(&self, content: &KeyringContent) -> Result<(), TooLarge> {
        let (bytes, limit) = (content.ciphertext.len(), self.core.policy.keyrings.max_bytes);
        (bytes <= limit).then_some(()).ok_or(TooLarge { bytes, limit })
    }
}

/// `slot` with its record out of `records`, if there is one.
fn with_record(
    slot: Slot,
    records: &mut Vec<(Ticket, Vec<u8>)>,
) -> Result<NewSlot, PresentKeyringError> {
    let Some(place) = records.iter().position(|(ticket, _)| ticket.slot == slot.id) else {
        return Ok(NewSlot { slot, record: None });
    };
    let (ticket, record) = records.swap_remove(place);
    if ticket.knowledge.slot() != slot.opener.kind() {
        return Err(PresentKeyringError::TicketKind(slot.id));
    }
    Ok(NewSlot { slot, record: Some(KnowledgeRecord { user: ticket.user(), record }) })
}

/// A content is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the ciphertext of a keyring has at most {limit} bytes here (limits.keyring_bytes), this one has {bytes}"
)]
pub struct TooLarge {
    /// How long it is.
    pub bytes: usize,
    /// How long it may be.
    pub limit: usize,
}

/// What is wrong with a keyring that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PresentKeyringError {
    /// A record is none.
    #[error(transparent)]
    Record(#[from] Malformed),
    /// There are more records than a keyring has slots.
    #[error("a keyring has at most {MAX_SLOTS} slots, and {0} records came with this one")]
    RecordCount(usize),
    /// A ticket was not made here for this account, or too long ago.
    #[error(
        "a ticket is not one of this server for this account, or older than 10 minutes: ask for a new slot"
    )]
    Ticket,
    /// A ticket is for another kind of slot.
    #[error("the ticket of slot {0} is for another kind of slot")]
    TicketKind(SlotId),
    /// It is too long.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A record comes without its slot, or twice.
    #[error("there is a record for slot {0}, which the document has not, or two")]
    UnusedTicket(SlotId),
}

/// Why a keyring is not stored.
#[derive(Debug, Error)]
pub enum StoringError {
    /// Too much was written lately.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The store refuses or failed.
    #[error(transparent)]
    Refused(#[from] StoreKeyringError),
}

/// Why a keyring is not deleted.
#[derive(Debug, Error)]
pub enum DeletingError {
    /// There is none.
    #[error("the account has no online keyring")]
    NoKeyring,
    /// The store refuses or failed.
    #[error(transparent)]
    Refused(#[from] DeleteKeyringError),
}
