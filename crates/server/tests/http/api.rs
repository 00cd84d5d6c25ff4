//! Accounts, their keys and what happened to them.

mod account_jwks;
mod accounts;
mod browsers;
mod enrolment;
mod events;
mod keys;
mod recover;
mod registered_keys;
mod revocations;
mod step_up;
mod whoami;
