//! Challenges: fresh values that the server makes and that must come back signed.

pub mod mutual;
pub mod passkeys;
pub mod request_digest;
pub mod sealed;
