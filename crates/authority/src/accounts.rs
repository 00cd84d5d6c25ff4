//! Accounts: how they come to be, what their owners change, and what administrators do.

pub mod administration;
pub(crate) mod enrolment;
pub mod own_keys;
pub mod own_records;
pub mod recovery;
pub mod registration;
pub mod registration_error;
pub mod step_up;

use std::sync::Arc;

use crate::{core::Core, tokens::Tokens};

/// Accounts and their keys: registration, recovery, and what owners change.
pub struct Accounts {
    core: Arc<Core>,
    tokens: Arc<Tokens>,
}

impl Accounts {
    /// Over what the wings share; `tokens` learns of what is revoked.
    pub(crate) const fn new(core: Arc<Core>, tokens: Arc<Tokens>) -> Self {
        Self { core, tokens }
    }
}
