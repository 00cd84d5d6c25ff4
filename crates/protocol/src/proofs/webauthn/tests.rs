//! Tests of the ceremonies as a whole, with an authenticator that does as it is told.

mod authentication;
mod authenticator;
mod properties;
mod registration;
mod responses;
mod w3c;
