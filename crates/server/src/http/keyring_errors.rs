//! Refusals that have to do with online keyrings as HTTP answers. No arm is a wildcard, as in
//! [`errors`](super::errors).

use std::time::Duration;

use countersign_authority::{
    model::{
        keyring::{InvalidKeyring, Revision, UnknownKnowledge},
        keyring_growth::KeyringTooLarge,
    },
    online_keyring::{
        EvaluationError,
        changing::ChangeContentError,
        listing::ListingError,
        offering::OfferSlotError,
        opening::{BeginError, FinishError},
        opening_by_passkey::OpenByPasskeyError,
        setup::OpenSetupError,
        storing::{DeletingError, PresentKeyringError, StoringError, TooLarge},
        tries::TooManyTries,
    },
    ports::{ChangeKeyringError, DeleteKeyringError, OpenKeyringError, StoreKeyringError},
};

use super::{
    errors::{share_used_up, step_up_needed},
    preconditions::entity_tag,
    problem::{Problem, ProblemType},
};

impl From<InvalidKeyring> for Problem {
    fn from(error: InvalidKeyring) -> Self {
        Self::new(ProblemType::InvalidKeyring).detail(error.to_string())
    }
}

impl From<UnknownKnowledge> for Problem {
    fn from(error: UnknownKnowledge) -> Self {
        Self::new(ProblemType::InvalidRequest).detail(error.to_string())
    }
}

impl From<TooLarge> for Problem {
    fn from(error: TooLarge) -> Self {
        Self::new(ProblemType::PayloadTooLarge).detail(error.to_string())
    }
}

impl From<KeyringTooLarge> for Problem {
    fn from(error: KeyringTooLarge) -> Self {
        let kind = match error {
            KeyringTooLarge::AllTogether { .. } | KeyringTooLarge::RecentAccounts { .. } => {
                ProblemType::Unavailable
            }
            KeyringTooLarge::YoungAccount { .. } => ProblemType::PayloadTooLarge,
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<EvaluationError> for Problem {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Busy => {
                Self::new(ProblemType::Overloaded).retry_after(Duration::from_secs(1))
            }
            EvaluationError::Failed => Self::internal(error),
            EvaluationError::Setup(error) => error.into(),
            EvaluationError::ShareUsedUp => share_used_up(&error),
        }
    }
}

impl From<OpenSetupError> for Problem {
    fn from(error: OpenSetupError) -> Self {
        match error {
            OpenSetupError::Damaged(_) | OpenSetupError::Malformed(_) => Self::internal(error),
            OpenSetupError::Store(error) => error.into(),
        }
    }
}

impl From<ListingError> for Problem {
    fn from(error: ListingError) -> Self {
        match error {
            ListingError::NoKeyring => no_keyring(&error),
            ListingError::Proof(error) => error.into(),
            ListingError::Store(error) => error.into(),
        }
    }
}

impl From<OfferSlotError> for Problem {
    fn from(error: OfferSlotError) -> Self {
        match error {
            OfferSlotError::Evaluation(error) => error.into(),
            OfferSlotError::Malformed(_) => {
                Self::new(ProblemType::InvalidRequest).detail(error.to_string())
            }
            OfferSlotError::NotAdmitted(error) => error.into(),
            OfferSlotError::StepUp(error) => error.into(),
        }
    }
}

impl From<PresentKeyringError> for Problem {
    fn from(error: PresentKeyringError) -> Self {
        match error {
            PresentKeyringError::TooLarge(error) => error.into(),
            PresentKeyringError::Record(_)
            | PresentKeyringError::RecordCount(_)
            | PresentKeyringError::Ticket
            | PresentKeyringError::TicketKind(_)
            | PresentKeyringError::UnusedTicket(_) => {
                Self::new(ProblemType::InvalidKeyring).detail(error.to_string())
            }
        }
    }
}

impl From<StoringError> for Problem {
    fn from(error: StoringError) -> Self {
        match error {
            StoringError::NotAdmitted(error) => error.into(),
            StoringError::Refused(error) => error.into(),
        }
    }
}

impl From<StoreKeyringError> for Problem {
    fn from(error: StoreKeyringError) -> Self {
        match error {
            StoreKeyringError::Changed { present } => changed(present, &error),
            StoreKeyringError::NoKeyring => no_keyring(&error),
            StoreKeyringError::NoPasskey(_)
            | StoreKeyringError::NoSlot(_)
            | StoreKeyringError::SlotTaken(_) => {
                Self::new(ProblemType::InvalidKeyring).detail(error.to_string())
            }
            StoreKeyringError::StepUp(error) => error.into(),
            StoreKeyringError::Store(error) => error.into(),
            StoreKeyringError::TooLarge(error) => error.into(),
        }
    }
}

impl From<ChangeContentError> for Problem {
    fn from(error: ChangeContentError) -> Self {
        match error {
            ChangeContentError::NotAdmitted(error) => error.into(),
            ChangeContentError::Refused(error) => error.into(),
            ChangeContentError::StepUp(error) => error.into(),
            ChangeContentError::StepUpNeeded(error) => {
                Self::new(ProblemType::StepUpNeeded).detail(error.to_string())
            }
            ChangeContentError::Store(error) => error.into(),
            ChangeContentError::TooLarge(error) => error.into(),
        }
    }
}

impl From<ChangeKeyringError> for Problem {
    fn from(error: ChangeKeyringError) -> Self {
        match error {
            ChangeKeyringError::Changed { present } => changed(present, &error),
            ChangeKeyringError::HistoryFull(_) => {
                Self::new(ProblemType::PayloadTooLarge).detail(error.to_string())
            }
            ChangeKeyringError::Known(_) => {
                Self::new(ProblemType::StepUpNeeded).detail(error.to_string())
            }
            ChangeKeyringError::NoKeyring => no_keyring(&error),
            ChangeKeyringError::NoRevision => {
                Self::new(ProblemType::NotFound).detail(error.to_string())
            }
            ChangeKeyringError::StepUp(error) => error.into(),
            ChangeKeyringError::Store(error) => error.into(),
            ChangeKeyringError::NoGrowth(error) | ChangeKeyringError::TooLarge(error) => {
                error.into()
            }
        }
    }
}

impl From<DeletingError> for Problem {
    fn from(error: DeletingError) -> Self {
        match error {
            DeletingError::NoKeyring => no_keyring(&error),
            DeletingError::Refused(DeleteKeyringError::Changed { present }) => {
                changed(present, &error)
            }
            DeletingError::Refused(DeleteKeyringError::StepUp(error)) => error.into(),
            DeletingError::Refused(DeleteKeyringError::Store(error)) => error.into(),
        }
    }
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Evaluation(error) => error.into(),
            BeginError::Malformed(_) => {
                Self::new(ProblemType::InvalidRequest).detail(error.to_string())
            }
            BeginError::Proof(error) => error.into(),
            BeginError::NotAdmitted(error) => error.into(),
            BeginError::Store(error) => error.into(),
            BeginError::TooManyTries(error) => error.into(),
        }
    }
}

impl From<TooManyTries> for Problem {
    fn from(error: TooManyTries) -> Self {
        Self::new(ProblemType::RateLimited).retry_after(error.retry_after).detail(error.to_string())
    }
}

impl From<FinishError> for Problem {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::NotOpened => {
                Self::new(ProblemType::KeyringNotOpened).detail(error.to_string())
            }
            FinishError::Proof(error) => error.into(),
            FinishError::NotAdmitted(error) => error.into(),
            FinishError::Store(error) => error.into(),
        }
    }
}

impl From<OpenByPasskeyError> for Problem {
    fn from(error: OpenByPasskeyError) -> Self {
        match error {
            OpenByPasskeyError::PasskeyNeeded => step_up_needed("passkey", &error),
            OpenByPasskeyError::Refused(error) => error.into(),
            OpenByPasskeyError::StepUp(error) => error.into(),
        }
    }
}

impl From<OpenKeyringError> for Problem {
    fn from(error: OpenKeyringError) -> Self {
        match error {
            OpenKeyringError::Gone => no_keyring(&"the account has no online keyring"),
            OpenKeyringError::StepUp(error) => error.into(),
            OpenKeyringError::Store(error) => error.into(),
            OpenKeyringError::Used => {
                Self::new(ProblemType::KeyringNotOpened).detail(error.to_string())
            }
        }
    }
}

fn no_keyring(error: &impl std::fmt::Display) -> Problem {
    Problem::new(ProblemType::NoKeyring).detail(error.to_string())
}

fn changed(present: Revision, error: &impl std::fmt::Display) -> Problem {
    let problem = Problem::new(ProblemType::KeyringChanged).detail(error.to_string());
    problem.entity_tag(entity_tag(present))
}
