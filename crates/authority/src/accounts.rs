//! Accounts: how they come to be, what their owners change, and what administrators do.

pub(crate) mod administration;
pub(crate) mod enrolment;
pub(crate) mod own_keys;
pub(crate) mod recovery;
pub(crate) mod step_up;
