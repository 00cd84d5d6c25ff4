//! The settings of the server that switch dialects, for the parts that do not know the dialects.

/// The switch of the dialect in which accounts have passwords.
pub(crate) const PASSWORDS: &str = "dialects.jwks_server";
