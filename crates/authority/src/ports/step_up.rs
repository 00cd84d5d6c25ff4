//! What permits a change of an account, judged in the transaction of the change.

use countersign_protocol::{ProvenKey, ReplayEntry};
use thiserror::Error;

use super::{StoreError, record_login::RecordLoginError};
use crate::model::passkey::PasskeyUse;

/// By what a change of an account is made. What was seen before the transaction may have ended since.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permit {
    /// The keys that signed the request: neither may have been revoked, or have ended, and the account must
    /// be active. `None` for a command of an administrator.
    pub signer: Option<ProvenKey>,
    /// The answer of a passkey that allowed it.
    pub step_up: Option<SpentStepUp>,
}

impl Permit {
    /// An administrator's.
    pub const ADMINISTRATOR: Self = Self { signer: None, step_up: None };
}

/// The answer of a passkey that allowed a change, to be recorded with the change.
#[derive(Clone, Copy, Debug)]
pub struct SpentStepUp {
    /// The challenge, which must not have been used.
    pub challenge: ReplayEntry,
    /// The passkey, which must be a live one of the account.
    pub passkey: PasskeyUse,
}

/// Why a passkey was not used.
#[derive(Debug, Error)]
pub enum UsePasskeyError {
    /// Its counter is not larger than before.
    #[error("the signature counter of the passkey has not grown: there may be a copy of it")]
    CounterRegressed,
    /// The challenge was answered before, or the passkey, or a key that signed, is not live.
    #[error(transparent)]
    Record(#[from] RecordLoginError),
}

impl From<StoreError> for UsePasskeyError {
    fn from(error: StoreError) -> Self {
        Self::Record(error.into())
    }
}

/// Of each error with the variants `StepUp` and `Store`: how it comes from [`UsePasskeyError`].
macro_rules! refused_by_step_up {
    ($($operation:ty),+ $(,)?) => {
        $(impl From<$crate::ports::UsePasskeyError> for $operation {
            fn from(error: $crate::ports::UsePasskeyError) -> Self {
                use $crate::ports::{RecordLoginError, UsePasskeyError};

                match error {
                    UsePasskeyError::Record(RecordLoginError::Store(error)) => Self::Store(error),
                    UsePasskeyError::CounterRegressed | UsePasskeyError::Record(_) => {
                        Self::StepUp(error)
                    }
                }
            }
        })+
    };
}
pub(super) use refused_by_step_up;
