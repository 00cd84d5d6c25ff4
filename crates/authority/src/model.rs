//! The nouns. They know nothing of the rest of this crate.

pub mod account;
pub mod audit;
pub mod credential;
pub mod credential_kind;
pub mod email;
pub mod invitation;
pub mod key_life;
pub mod keyring;
pub mod keyring_growth;
pub mod keyring_history;
pub mod limits;
pub mod names;
pub mod passkey;
pub mod policy;
pub mod trail;
pub mod user_agent;
