//! JSON Web Tokens: one parser, one reader of claims, and a module for each kind of token.

pub mod assertion;
pub mod claims;
pub mod issue;
pub mod jws;
pub mod key_approval;
pub mod offered_session;
pub mod revocations;
pub mod session;
pub mod unbound;
pub(crate) mod validity;
pub mod verify;
