//! Accounts: how they come to be, what their owners change, and what administrators do.

pub mod administration;
pub(crate) mod enrolment;
pub mod large_body;
pub mod own_keys;
pub mod own_passkeys;
pub mod own_records;
pub mod recovery;
pub mod registration;
pub mod registration_error;
pub mod signed_request;
pub mod step_up;
pub mod step_up_error;

use std::sync::Arc;

use countersign_protocol::AccountId;

use crate::{
    core::{Core, turns::Turns},
    model::limits::TurnLimits,
    passkeys::Passkeys,
    tokens::Tokens,
};

/// Accounts and their keys: registration, recovery, and what owners change.
pub struct Accounts {
    core: Arc<Core>,
    tokens: Arc<Tokens>,
    passkeys: Arc<Passkeys>,
    /// Turns at reading audit trails, which accounts take.
    trail_turns: Arc<Turns<AccountId>>,
}

impl Accounts {
    /// Over what the wings share; `tokens` learns of what is revoked, `passkeys` verifies what passkeys
    /// are and answer.
    pub(crate) fn new((core, tokens, passkeys): (Arc<Core>, Arc<Tokens>, Arc<Passkeys>)) -> Self {
        Self { core, tokens, passkeys, trail_turns: Arc::new(Turns::new(TurnLimits::OF_TRAILS)) }
    }
}
