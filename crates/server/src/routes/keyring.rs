//! The online keyring: a sealed document of one's account, which the server cannot open.

pub(super) mod content;
mod document_body;
pub(super) mod open;
pub(super) mod own;
pub(super) mod revisions;
pub(super) mod slots;
