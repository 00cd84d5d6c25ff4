//! Accounts, their keys and what happened to them.

pub(super) mod accounts;
pub(super) mod events;
pub(super) mod key_body;
pub(super) mod keys;
pub(super) mod recover;
pub(super) mod revocations;
pub(super) mod whoami;
