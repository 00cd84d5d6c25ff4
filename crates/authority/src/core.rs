//! What every wing of the authority borrows.

pub(crate) mod credential_cache;
pub(crate) mod dpop;
pub(crate) mod effort;
pub(crate) mod forgetting;
pub(crate) mod key_uses;
pub(crate) mod password_hasher;
pub(crate) mod pending_events;
pub(crate) mod store_health;
pub(crate) mod turns;
