//! Requests as they are read and answers as they are written, whatever they are about.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod change_request;
pub(crate) mod entity_tag;
pub(crate) mod errors;
pub(crate) mod jwks_answer;
mod keyring_errors;
pub(crate) mod oauth_error;
mod passkey_errors;
pub(crate) mod preconditions;
pub(crate) mod problem;
pub(crate) mod refusal;
pub(crate) mod request_id;
pub(crate) mod response;
