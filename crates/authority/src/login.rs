//! Logins: assertions by credentials, and the grant that turns them into tokens.

pub mod asked;
pub mod assertion;
pub mod jwt_bearer;
pub mod passkey;

use std::sync::Arc;

use crate::{core::Core, passkeys::Passkeys, tokens::Tokens};

/// Logins by key and by passkey, and callers that authenticate themselves by one.
pub struct Login {
    core: Arc<Core>,
    tokens: Arc<Tokens>,
    passkeys: Arc<Passkeys>,
}

impl Login {
    /// Over what the wings share; `tokens` issues them, `passkeys` verifies what passkeys
    /// answer.
    pub(crate) fn new((core, tokens, passkeys): (Arc<Core>, Arc<Tokens>, Arc<Passkeys>)) -> Self {
        Self { core, tokens, passkeys }
    }
}
