//! Logins: assertions by credentials, and the grant that turns them into tokens.

pub mod assertion;
pub mod jwt_bearer;

use std::sync::Arc;

use crate::{core::Core, tokens::Tokens};

/// Logins by key, and callers that authenticate themselves by one.
pub struct Login {
    core: Arc<Core>,
    tokens: Arc<Tokens>,
}

impl Login {
    /// Over what the wings share; `tokens` issues them.
    pub(crate) const fn new(core: Arc<Core>, tokens: Arc<Tokens>) -> Self {
        Self { core, tokens }
    }
}
