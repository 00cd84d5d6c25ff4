//! Tokens after they were issued: whether they are good, and how others learn that they are not.

pub(crate) mod feed;
pub(crate) mod revoked;
pub(crate) mod standing;
