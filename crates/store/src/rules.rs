//! What a store does, whatever the engine: one file for each port, and for what several have in common.

mod accounts;
mod assertions;
pub(crate) mod audit;
mod browsers;
mod claims;
mod credentials;
mod invitations;
mod issuer;
mod keyring_growth;
mod keyring_history;
mod keyring_rows;
mod keyrings;
mod live_keys;
mod logins;
mod passkey_records;
mod passkeys;
mod passwords;
mod permitted;
mod places;
pub(crate) mod pruning;
mod revocations;
mod room_for_browsers;
mod server_keys;
mod signing_keys;
mod vault;

use crate::{engine::Engine, error, rows, sql::Alone, stored::Stored};
