//! Offering a slot for a password or a recovery code: the server's answer to the first message of its
//! registration. Nothing is stored; a ticket says what was offered.

use std::{net::IpAddr, time::Duration};

use countersign_opaque::{Malformed, server::UserIdentifier};
use countersign_protocol::{AccountId, Principal, UnixTime, ports::random_bytes};
use thiserror::Error;

use super::{
    EvaluationError, OnlineKeyring,
    sealed_texts::{Purpose, take},
    slot_identifier,
};
use crate::{
    accounts::{signed_request::check_own_request, step_up_error::StepUpError},
    model::{
        keyring::{Knowledge, SlotId},
        limits::NotAdmitted,
    },
};

/// For how long a ticket is good.
const LIFETIME: Duration = Duration::from_mins(10);

/// A slot that is offered.
#[derive(Clone, Debug)]
pub struct OfferedSlot {
    /// Its id.
    pub id: SlotId,
    /// What says that it was offered, to be brought back with the record.
    pub ticket: String,
    /// The answer of OPAQUE.
    pub response: Vec<u8>,
}

/// What a ticket says.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) account_id: AccountId,
    pub(super) slot: SlotId,
    pub(super) knowledge: Knowledge,
    made_at: UnixTime,
}

impl OnlineKeyring {
    /// Offers the principal's account a new slot, and answers the first message for it. The answer
    /// says nothing about the slots that the account has, so it needs not be counted as a try.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn offer_slot(
        &self,
        principal: &Principal,
        (knowledge, request): (Knowledge, Vec<u8>),
        address: IpAddr,
    ) -> Result<OfferedSlot, OfferSlotError> {
        let key = check_own_request(principal)?;
        let account_id = principal.account_id;
        self.core.admit_key(key.thumbprint).await?;
        let random = &*self.core.ports.random;
        let slot = SlotId::from_bytes(random_bytes(random));
        let user = UserIdentifier(slot_identifier(slot, knowledge));
        let evaluated =
            self.evaluate(address, move |setup, _| setup.register(&request, &user)).await?;
        let response = evaluated?;
        let ticket = Ticket { account_id, slot, knowledge, made_at: self.core.now() };
        let ticket = self.texts.seal(Purpose::Ticket, &ticket.to_bytes(), random);
        Ok(OfferedSlot { id: slot, ticket, response })
    }

    /// What a ticket says, if it was made here and is still good at `now`.
    pub(super) fn read_ticket(&self, text: &str, now: UnixTime) -> Option<Ticket> {
        let ticket = Ticket::from_bytes(&self.texts.open(Purpose::Ticket, text)?)?;
        self.is_young(ticket.made_at, LIFETIME, now).then_some(ticket)
    }
}

impl Ticket {
    /// By which identifier OPAQUE knows the slot.
    pub(super) fn user(&self) -> [u8; 32] {
        slot_identifier(self.slot, self.knowledge)
    }

    fn to_bytes(self) -> Vec<u8> {
        let kind = match self.knowledge {
            Knowledge::Password => 1,
            Knowledge::Recovery => 2,
        };
        let mut bytes = self.made_at.as_millis().to_be_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(self.account_id.as_bytes());
        bytes.extend(self.slot.as_bytes());
        bytes
    }

    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let made_at = UnixTime::from_millis(u64::from_be_bytes(take(&mut bytes)?));
        let knowledge = match take(&mut bytes)? {
            [1] => Knowledge::Password,
            [2] => Knowledge::Recovery,
            _ => return None,
        };
        let account_id = AccountId::from_bytes(take(&mut bytes)?);
        let slot = SlotId::from_bytes(take(&mut bytes)?);
        bytes.is_empty().then_some(Self { account_id, slot, knowledge, made_at })
    }
}

/// Why no slot is offered.
#[derive(Debug, Error)]
pub enum OfferSlotError {
    /// The server did not do its part.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The first message is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There were too many.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The proof is too weak.
    #[error(transparent)]
    StepUp(#[from] StepUpError),
}
