//! Logins: who may have signed, assertions, and the grants that turn them into tokens.

pub(crate) mod assertion;
pub(crate) mod jwt_bearer;
pub(crate) mod signers;
