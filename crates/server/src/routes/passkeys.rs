//! Passkeys: what pages need before they can make or use one.

pub(super) mod adding;
pub(super) mod options;
pub(super) mod options_body;
pub(super) mod related_origins;
mod step_up_operations;
